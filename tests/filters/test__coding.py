"""Content codings."""

import contextlib
import gzip
import tracemalloc
import zlib
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters._coding import UnknownCoding, coding_of, decoded
from gateway.http.fields import Fields

zipped = partial(gzip.compress, mtime=0)  # names of tests are to be the same each time

MIB = 1 << 20


def coded(data: bytes, coding: str) -> bytes:
    return zipped(data) if coding == "gzip" else zlib.compress(data)


@given(st.binary(max_size=4096), st.sampled_from(["gzip", "deflate"]))
def test_what_was_coded_is_decoded(data: bytes, coding: str) -> None:
    assert decoded(coded(data, coding), coding, 4096) == data


@given(st.binary(min_size=1, max_size=256), st.sampled_from(["gzip", "deflate"]))
def test_the_limit_is_exact(data: bytes, coding: str) -> None:
    assert decoded(coded(data, coding), coding, len(data)) == data
    with pytest.raises(OverflowError):
        decoded(coded(data, coding), coding, len(data) - 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(coding: str) -> None:
    bomb = coded(bytes(256 * MIB), coding)
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(OverflowError):
            decoded(bomb, coding, MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_many_members_are_one_content_up_to_a_number_of_them() -> None:
    assert decoded(zipped(b"a") * 64, "gzip", 64) == b"a" * 64
    with pytest.raises(ValueError):
        decoded(zipped(b"") * 65, "gzip", 64)


def test_deflate_without_its_header_is_known() -> None:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    assert decoded(coder.compress(b"abc") + coder.flush(), "deflate", 3) == b"abc"


@pytest.mark.parametrize(
    ("raw", "coding"),
    [
        (b"plain", "gzip"),
        (b"plain", "deflate"),
        (zipped(b"abc")[:-1], "gzip"),
        (zipped(b"abc") + b"x", "gzip"),
        (zlib.compress(b"abc")[:-1], "deflate"),
        (zlib.compress(b"abc") + b"x", "deflate"),
        (zipped(b"abc"), "deflate"),
        (zipped(b"abc")[:-8] + bytes(8), "gzip"),
    ],
)
def test_what_is_not_what_it_says_is_an_error(raw: bytes, coding: str) -> None:
    with pytest.raises(ValueError):
        decoded(raw, coding, 100)


def test_an_empty_body_was_not_coded() -> None:
    assert decoded(b"", "gzip", 0) == b""


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_end_in_content_or_in_an_error_that_is_known(raw: bytes, coding: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        assert len(decoded(raw, coding, 1000)) <= 1000


@pytest.mark.parametrize(
    ("values", "coding"),
    [
        ([], None),
        (["identity"], None),
        (["gzip"], "gzip"),
        (["X-GZIP"], "gzip"),
        ([" deflate"], "deflate"),
    ],
)
def test_names_the_coding(values: list[str], coding: str | None) -> None:
    assert coding_of(Fields([(b"Content-Encoding", value.encode()) for value in values])) == coding


@pytest.mark.parametrize("values", [["br"], ["gzip, gzip"], ["gzip", "gzip"], [""], ["identity", "gzip"]])
def test_other_codings_and_several_are_unknown(values: list[str]) -> None:
    with pytest.raises(UnknownCoding):
        coding_of(Fields([(b"Content-Encoding", value.encode()) for value in values]))
