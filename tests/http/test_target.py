import posixpath
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.target import Target, ambiguity, decode, matchable, plain, split

# Pieces that make paths on which servers disagree, more often than plain characters would.
PIECES = st.sampled_from(
    [
        *(
            "/",
            "//",
            ".",
            "..",
            "%2e",
            "%2E",
            "%2f",
            "%2F",
            "%5c",
            "\\",
            "%00",
            "%",
            "%2",
            "%zz",
            "%25",
            "%252e",
        ),
        *("a", "b;c", "..;x", "%41", "%7E", "?", "q=%20", "é", "\x01", "{", ":", "@"),
    ]
)
TARGETS = st.lists(PIECES, max_size=8).map(lambda pieces: ("/" + "".join(pieces)).encode("latin-1"))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/", Target(b"/", "/", None, None)),
        (b"/a%2Fb?x=1?y", Target(b"/a%2Fb?x=1?y", "/a%2Fb", "x=1?y", None)),
        (b"/a?", Target(b"/a?", "/a", "", None)),
        (b"/caf\xe9", Target(b"/caf\xe9", "/caf\xe9", None, None)),
        (b"*", Target(b"*", "*", None, None)),
        (b"http://api.test/a?b", Target(b"/a?b", "/a", "b", "api.test")),
        (b"HTTPS://api.test:8443/a", Target(b"/a", "/a", None, "api.test:8443")),
        (b"http://api.test", Target(b"/", "/", None, "api.test")),
        (b"http://api.test?b", Target(b"/?b", "/", "b", "api.test")),
    ],
)
def test_splits_each_form(raw: bytes, expected: Target) -> None:
    assert split(raw) == expected


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "empty"),
        (b"a/b", "neither"),
        (b"api.test:443", "neither"),
        (b"ftp://api.test/", "neither"),
        (b"**", "neither"),
        (b"/a#b", "fragment"),
        (b"http://api.test/#", "fragment"),
        (b"http://me@api.test/", "userinfo"),
        (b"http:///a", "authority"),
        (b"/a b", "white space"),
        (b"/a\r\nX: y", "white space"),
        (b"http://api.test/a\n", "white space"),
    ],
)
def test_refuses_other_forms_with_a_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        split(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"/",
            b"*",
            b"/a",
            b"/a/",
            b"/a/b.c/...",
            b"/.well-known/x",
            b"/a..b/..c",
            b"/a;v=1/b,c:d@e!$&'()*+=~-_",
        ),
        *(b"/%41%7e%20%C3%A9", b"/a%252e%252e/b", b"/a?", b'/a?b=/../%2f//\\"<>|{}', b"/a?\xe9", b"/a?x=%20"),
        *(b"/a.", b"/%2ea", b"/a/.%2ex"),
    ],
)
def test_passes_what_has_one_reading(raw: bytes) -> None:
    assert ambiguity(split(raw)) is None


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        *(
            (path, "dot segment")
            for path in (b"/.", b"/..", b"/a/./b", b"/a/../b", b"/a/..?x", b"/%2e", b"/a/%2E.")
        ),
        *((path, "dot segment") for path in (b"/.%2e/a", b"/%2e%2E/a", b"/..;x/a", b"/a/.;", b"/%2e%2e;/a")),
        *((path, "encoded") for path in (b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a%5Cb", b"/a%00")),
        *((path, "empty segment") for path in (b"//", b"//a", b"/a//b", b"/a//")),
        (b"/a\\b", "backslash"),
        *((b"/a" + bytes([byte]), "cannot hold") for byte in b'"<>^`{|}\x80\xff'),
        *((b"/a" + bytes([byte]), "control") for byte in b"\x00\x01\t\x1f\x7f"),
        (b"/a?b\x00", "control"),
        *(
            (path, "escape")
            for path in (b"/a%", b"/a%2", b"/a%zz", b"/a%2?b", b"/a?b=%", b"/a?b=%4", b"/a?%g1")
        ),
    ],
)
def test_names_what_can_be_read_in_two_ways(raw: bytes, sentence: str) -> None:
    assert sentence in str(ambiguity(split(raw)))


def test_a_space_is_ambiguous_in_a_target_that_was_not_split() -> None:
    assert ambiguity(Target(b"/a b", "/a b", None, None)) is not None


@given(TARGETS)
def test_what_passes_is_the_same_path_decoded_and_normalised(raw: bytes) -> None:
    try:
        target = split(raw)
    except ValueError:
        return
    if ambiguity(target) is None:
        decoded = unquote_to_bytes(target.path)
        assert posixpath.normpath(decoded) == (decoded.rstrip(b"/") or b"/")
        assert b"\x00" not in decoded
        assert decoded.count(b"/") == target.path.count("/")


@given(TARGETS)
def test_the_fast_path_and_the_sentences_agree(raw: bytes) -> None:
    try:
        target = split(raw)
    except ValueError:
        return
    segments = target.path.split("/")[1:]
    resolved = [re.sub("(?i)%2e", ".", segment).split(";")[0] for segment in segments]
    clean = (
        all(segments[:-1])
        and not {".", ".."} & set(resolved)
        and re.fullmatch(r"(?:[!$&-;=@A-Z_a-z~]|%(?!2f|5c|00)[0-9a-f]{2})*", target.path, re.IGNORECASE)
        and re.fullmatch(r"(?:[^%\x00-\x1f\x7f]|%[0-9a-fA-F]{2})*", target.query or "")
    )
    assert (ambiguity(target) is None) == bool(clean)


@given(TARGETS)
def test_split_keeps_every_byte(raw: bytes) -> None:
    try:
        target = split(raw)
    except ValueError:
        return
    assert target.raw == raw
    mark = "" if target.query is None else "?" + target.query
    assert (target.path + mark).encode("latin-1") == raw


def test_matchable_decodes_unreserved_characters_only() -> None:
    assert matchable("/v2/%69mages%2D%7e%5F%2e") == "/v2/images-~_."
    assert matchable("/a%2Fb%20%25%3A%40%60%7B%5B") == "/a%2Fb%20%25%3A%40%60%7B%5B"
    assert matchable("/a%2541") == "/a%2541"


def test_matchable_makes_no_escape_out_of_a_stray_percent_sign() -> None:
    assert matchable("/%%34%31") == "/%%341"
    assert matchable("/%4%31") == "/%4%31"


def test_matchable_returns_a_path_without_escapes_as_it_is() -> None:
    path = "/v2/images"
    assert matchable(path) is path


@given(st.text(st.sampled_from("%%%0123456789abcdefABCDEF/."), max_size=12))
def test_matchable_does_not_change_what_a_path_decodes_to(path: str) -> None:
    assert decode(matchable(path)) == decode(path)


@given(st.text(st.characters(max_codepoint=255), max_size=12))
def test_matchable_equals_the_path_with_every_unreserved_byte_encoded(text: str) -> None:
    plain = "".join(char for char in text if re.fullmatch(r"[A-Za-z0-9\-._~/]", char))
    encoded = "".join(char if char == "/" else f"%{ord(char):02x}" for char in plain)
    assert matchable(encoded) == plain


@pytest.mark.parametrize(
    ("segment", "text"),
    [
        ("a", "a"),
        ("a%20b+c", "a b+c"),
        ("%C5%BElu%C5%A5", "žluť"),
        ("%2541", "%41"),
        ("%FF%41", "\ufffdA"),
        ("\xc3\xa9", "é"),
        ("%", "%"),
    ],
)
def test_decode_decodes_once_as_utf_8(segment: str, text: str) -> None:
    assert decode(segment) == text


@given(
    st.one_of(
        st.binary(max_size=30), st.text("/.%2fF?#a\\ ;~", max_size=20).map(lambda text: ("/" + text).encode())
    )
)
def test_the_fast_path_agrees_with_the_two_that_it_stands_for(raw: bytes) -> None:
    found = plain(raw)
    try:
        target = split(raw)
    except ValueError:
        assert found is None
        return
    if found is not None:
        assert ambiguity(target) is None
        assert found == (target.path, target.query)
        assert target.raw == raw
    elif target.authority is None and raw != b"*":
        assert ambiguity(target) is not None


@pytest.mark.parametrize("raw", [b"", b"?", b"?a", b"*", b"http://a/", b"/#", b"/a?b c", b"/../a", b"/a%2fb"])
def test_the_fast_path_leaves_all_else_to_the_slow_one(raw: bytes) -> None:
    assert plain(raw) is None


@pytest.mark.parametrize("raw", [b"/a?b=c", b"/a/%7Eb?x=%20", b"/a?", b"/", b"/a/", b"/a?b?c", b"/a?b=\xff"])
def test_the_fast_path_takes_path_and_query_apart(raw: bytes) -> None:
    target = split(raw)
    assert plain(raw) == (target.path, target.query)
