"""How a token may be written, and what else is the same token."""

import base64

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from filters.token_auth.jws import read_jws, verified
from filters.token_auth.key import load_keys
from filters.token_auth.option import KeyOptions
from filters.token_auth.spelling import from_base64url, issued_so, to_base64url, twin
from gateway.api.testing import FrozenServices
from tests.filters.token_auth.signing import ec384_key, ec_key, pem, rsa_key, sign

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SIGNED = sign({"sub": "u1"})
FERNETS = (
    st.integers(0, 9)
    .flatmap(
        lambda blocks: st.binary(
            min_size=12 + 16 + 16 + 16 * blocks + 32, max_size=12 + 16 + 16 + 16 * blocks + 32
        )
    )
    .map(lambda rest: b"\x80" + b"\0\0\0\0" + rest)
)
"""The bytes of such tokens: a version, a time, a vector, blocks and a digest."""


def as_keystone_reads(token: str) -> bytes | None:
    """It adds what padding is missing, and has Python read the rest as leniently as it does."""
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        return None


@given(FERNETS, st.data())
def test_of_all_spellings_of_a_fernet_token_one_is_issued(raw: bytes, data: st.DataObject) -> None:
    token = to_base64url(raw)
    assert issued_so(token)
    letters = list(token)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(letters)))
        letters.insert(place, data.draw(st.sampled_from(" !$%&'()*,.:;<=>?@[]^`{|}~")))
    letters = [data.draw(st.sampled_from("-+")) if each == "-" else each for each in letters]
    other = "".join(letters) + data.draw(st.sampled_from(["", "=", "==", "==="]))
    assert not issued_so(other)


@given(FERNETS, st.sampled_from(ALPHABET))
def test_the_bits_behind_the_last_byte_are_none(raw: bytes, last: str) -> None:
    token = to_base64url(raw)
    other = token[:-1] + last
    if as_keystone_reads(other) == raw:
        assert issued_so(other) == (other == token)
    assume(len(raw) % 3)
    same = [token[:-1] + each for each in ALPHABET if as_keystone_reads(token[:-1] + each) == raw]
    assert len(same) > 1
    assert [each for each in same if issued_so(each)] == [token]


@pytest.mark.parametrize("more", ["=", "==", "!", "\x20", "%3D"])
def test_a_signature_has_one_spelling(more: str) -> None:
    assert issued_so(SIGNED)
    assert not issued_so(SIGNED + more)
    signed, _, signature = SIGNED.rpartition(".")
    assert not issued_so(f"{signed}.{more}{signature}")
    same = [
        SIGNED[:-1] + each
        for each in ALPHABET
        if as_keystone_reads(signature[:-1] + each) == as_keystone_reads(signature)
    ]
    assert len(same) == 16
    assert [each for each in same if issued_so(each)] == [SIGNED]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "token-1=",
        "a.b.c=",
        "gAAAAABm-user-token==",
        "x==.y.z",
        "W10.y.z=",
        "f064c46a782c444cb4ba4b6434288f7d",
        "a b",
        SIGNED + ".a.b=",
    ],
)
def test_tokens_of_another_form_are_issued_as_anybody_likes(token: str) -> None:
    assert issued_so(token)
    assert twin(token) is None


def test_of_a_signature_with_es256_there_is_another_which_is_as_good() -> None:
    keys, _ = load_keys(
        KeyOptions.model_validate({"pem": pem(ec_key()), "algorithms": ["ES256"]}), FrozenServices()
    )
    for token in (sign({"sub": str(number)}) for number in range(9)):
        other = twin(token)
        assert other is not None and other != token and issued_so(other)
        assert twin(other) == token
        jws = read_jws(other)
        assert jws is not None and verified(jws, keys)


def test_no_other_signature_has_another() -> None:
    signed = SIGNED.rpartition(".")[0]
    for token in (
        sign({}, rsa_key(), "RS256"),
        sign({}, ec384_key(), "ES384"),
        f"{signed}.",
        *(
            f"{signed}.{to_base64url(raw)}"
            for raw in (bytes(64), bytes(32) + bytes([255]) * 32, bytes(63) + bytes([1, 1]))
        ),
        SIGNED + "=",
    ):
        assert twin(token) is None


@pytest.mark.parametrize("segment", [b"YQ==", b"YR", b"Y", b"Y Q", b"YQ\n", b"+/8", b"\xc3\xa9"])
def test_base64url_has_one_spelling(segment: bytes) -> None:
    with pytest.raises(ValueError, match="canonical"):
        from_base64url(segment)
    assert from_base64url(b"YQ") == b"a"


@given(st.binary(max_size=40))
def test_it_is_the_one_that_is_written(raw: bytes) -> None:
    assert from_base64url(to_base64url(raw).encode("ascii")) == raw
