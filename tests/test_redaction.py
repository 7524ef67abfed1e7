from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import Redaction, credentials, redact_target, scrub


def test_credentials_of_a_scheme_and_of_cookies() -> None:
    assert credentials("authorization", b" Bearer abc.def ") == [b"Bearer abc.def", b"abc.def"]
    assert credentials("cookie", b'session=s3cr3t; lang="en"') == [
        b'session=s3cr3t; lang="en"',
        b"s3cr3t",
        b"en",
    ]
    assert credentials("x-auth-token", b"") == []


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        (b"limit=5&marker=a%20b", b"limit=5&marker=a%20b"),
        (b"token=abc&limit=5", b"token=[redacted]&limit=5"),
        (b"limit=5;to%6Ben=abc", b"limit=5;to%6Ben=[redacted]"),
        (b"X-Amz-Signature=abc", b"X-Amz-Signature=[redacted]"),
        (b"temp_url_sig=abc&design=1", b"temp_url_sig=[redacted]&design=1"),
        (b"client_secret=a=b&apiKey=c", b"client_secret=[redacted]&apiKey=[redacted]"),
        (b"token", b"token"),
        (b"token=", b"token="),
    ],
)
def test_redacts_the_values_of_secret_query_keys(query: bytes, redacted: bytes) -> None:
    assert redact_target(b"/?" + query) == b"/?" + redacted


@pytest.mark.parametrize(
    ("target", "redacted"),
    [
        (b"http://user:pw@host/a", b"http://[redacted]@host/a"),
        (b"user:pw@host:443", b"[redacted]@host:443"),
        (b"/a@b", b"/a@b"),
        (b"/v2/gAAAAABtoken/x", b"/v2/[redacted]/x"),
        (b"/v2/xgAAAAABtokenx?q=gAAAAABtoken", b"/v2/x[redacted]x?q=[redacted]"),
        (b"/v2/%67AAAAAB%74oken", b"/v2/[redacted]"),
        (b"*", b"*"),
    ],
)
def test_redacts_the_target(target: bytes, redacted: bytes) -> None:
    assert redact_target(target, [b"gAAAAABtoken"]) == redacted


def test_a_short_secret_is_replaced_only_as_a_whole_value() -> None:
    assert redact_target(b"/ab/abc?x=ab&y=%61b", [b"ab"]) == b"/[redacted]/abc?x=[redacted]&y=[redacted]"


def spelled(secret: bytes, choices: list[int]) -> bytes:
    """The secret with some bytes percent-encoded, in either case."""
    parts = []
    for byte, choice in zip(secret, choices, strict=False):
        char = bytes([byte])
        encoded = b"%%%02x" % byte
        parts.append((char, encoded, encoded.upper())[choice] if char not in b"%" else encoded)
    return b"".join(parts)


@given(
    secret=st.binary(min_size=8, max_size=20),
    before=st.sampled_from([b"/", b"/v2/", b"/a%2Fb/", b"/x?y="]),
    after=st.sampled_from([b"", b"/z", b"&z=1", b"%20"]),
    data=st.data(),
)
def test_no_spelling_of_a_secret_is_left(
    secret: bytes, before: bytes, after: bytes, data: st.DataObject
) -> None:
    choices = data.draw(st.lists(st.integers(0, 2), min_size=len(secret), max_size=len(secret)))
    written = spelled(secret, choices)
    redacted = redact_target(before + written + after, [secret])
    assert written not in redacted
    assert quote_from_bytes(secret).encode() not in redacted


def test_scrub_reaches_every_text() -> None:
    value = {"a": ["x-S3CRET-y", {"S3CRET": 1}], "b": ("S3CRET", None, 2.5)}
    assert scrub(value, ["S3CRET"]) == {
        "a": ["x-[redacted]-y", {"[redacted]": 1}],
        "b": ["[redacted]", None, 2.5],
    }


# ---- what a configuration adds

ADDED = Redaction(
    headers=["x-tenant-.*"],
    query=["e-?mail"],
    params=["user_.*", "rest"],
    templates=["/users/{user_id}/keys/{key}", "/files/{rest*}", "/images/{image_id}"],
)


def test_a_configuration_adds_names_of_header_fields_of_any_case() -> None:
    assert Redaction(headers=["X-Tenant-.*"]).is_secret_header("x-tenant-name")
    assert ADDED.is_secret_header("x-auth-token"), "what always is remains so"
    assert not ADDED.is_secret_header("not-x-tenant-name"), "the whole name is meant"
    assert ADDED.is_secret_header("a" * 5000), "one that is too long to be judged"
    assert not Redaction().is_secret_header("a" * 5000)


@pytest.mark.parametrize(
    ("target", "template", "text", "values"),
    [
        (b"/a?EMail=a%40b&x=1", None, b"/a?EMail=[redacted]&x=1", [b"a%40b", b"a@b"]),
        (b"/a?%65mail=a+b", None, b"/a?%65mail=[redacted]", [b"a b", b"a+b"]),
        (b"/a?token=abc", None, b"/a?token=[redacted]", [b"abc"]),
        (b"/users/alice/keys/7", "/users/{user_id}/keys/{key}", b"/users/[redacted]/keys/7", [b"alice"]),
        (b"/users/alice/keys/7", None, b"/users/[redacted]/keys/7", [b"alice"]),
        (b"/%75sers/alice/keys/7?a=b", None, b"/%75sers/[redacted]/keys/7?a=b", [b"alice"]),
        (b"http://h/users/al%69ce/keys/7", None, b"http://h/users/[redacted]/keys/7", [b"al%69ce", b"alice"]),
        (b"/files/a/b/c?d", "/files/{rest*}", b"/files/[redacted]?d", [b"a/b/c"]),
        (b"/images/alice", "/images/{image_id}", b"/images/alice", []),
        (b"/users/alice/other", None, b"/users/alice/other", []),
        (b"*", None, b"*", []),
    ],
)
def test_a_configuration_adds_keys_of_queries_and_path_parameters(
    target: bytes, template: str | None, text: bytes, values: list[bytes]
) -> None:
    redacted = ADDED.target(target, (), template)
    assert redacted.text == text
    assert list(redacted.values) == values


def test_no_part_is_left_of_a_secret_that_lies_across_the_edge_of_another() -> None:
    assert ADDED.target(b"/users/alice/keys/7", [b"ice/keys/"]).text == b"/users/[redacted]7"
    assert redact_target(b"/a?token=abcdef", [b"token=ab"]) == b"/a?[redacted]"
