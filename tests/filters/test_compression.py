"""Codings taken off requests and put on answers."""

import gzip
import zlib
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.compression import Compression
from gateway.api import Body, Exchange, Fault, Response
from gateway.api.testing import StreamBody, build, exchange, judge, judge_response
from gateway.trial.given import Answer
from tests.trial.tried import given as request
from tests.trial.tried import outcome

zipped = partial(gzip.compress, mtime=0)  # names of tests are to be the same each time

TEXT = b"metadata " * 200
GZIP = {"Content-Encoding": "gzip"}


def decode(body: Body | bytes, headers: Any = GZIP, **options: Any) -> tuple[Exchange, Any]:
    made = exchange("POST", headers=headers, body=body)
    return made, judge(build(Compression, {"request": options}), made)


@pytest.mark.parametrize("stream", [False, True])
def test_a_coded_request_is_decoded_for_all_that_follows(stream: bool) -> None:
    coded = zipped(TEXT)
    lines = [
        *(("Content-Encoding", "gzip"), ("Digest", "sha-256=x"), ("Content-Length", "1"), ("A", "b")),
    ]
    made, verdict = decode(StreamBody([coded[:9], coded[9:]]) if stream else coded, lines)
    assert verdict is None
    assert (made.request.body.complete, made.request.body.length) == (TEXT, len(TEXT))
    assert [name for name, _ in made.request.headers] == [b"Content-Length", b"A"]


def test_what_has_no_coding_is_not_read() -> None:
    body = StreamBody([TEXT])
    assert decode(body, {})[1] is None
    assert body.complete is None
    assert decode(body, GZIP, decode=False)[1] is None
    assert body.complete is None


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        ({"Content-Encoding": "br"}, b"x", 415, "encoding_unsupported"),
        ({"Content-Encoding": "gzip, gzip"}, b"x", 415, "encoding_unsupported"),
        (GZIP, b"plain", 400, "encoding_invalid"),
        (GZIP, zipped(bytes(2 << 20)), 413, "body_too_large"),
        (GZIP, StreamBody([bytes(1 << 20), b"x"]), 413, "body_too_large"),
        (GZIP, StreamBody([], (1 << 20) + 1), 413, "body_too_large"),
    ],
)
def test_what_cannot_be_decoded_is_refused(
    headers: dict[str, str], body: Body | bytes, status: int, reason: str
) -> None:
    _, verdict = decode(body, headers)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert verdict.rule[0] == "request"
    if status == 415:
        assert verdict.headers == (("Accept-Encoding", "gzip, deflate"),)


def code(
    accept: str | None = "gzip",
    body: Body | bytes = TEXT,
    *,
    headers: dict[str, str] | None = None,
    status: int = 200,
    method: str = "GET",
    **options: Any,
) -> Response:
    lines = {"Content-Type": "text/plain", **(headers or {})}
    made = exchange(
        method,
        headers={} if accept is None else {"Accept-Encoding": accept},
        response=Response(
            status, list(lines.items()), body if isinstance(body, Body) else StreamBody([body], len(body))
        ),
    )
    assert judge_response(build(Compression, {"response": options}), made) is None
    assert made.response is not None
    return made.response


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.5, deflate;q=0.8", "deflate"),
        ("*", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("br, gzip ; q=0.1", "gzip"),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("br", None),
        ("", None),
        ("gzip;q=2", None),
        (None, None),
    ],
)
def test_the_client_says_which_coding(accept: str | None, coding: str | None) -> None:
    response = code(accept)
    assert response.headers.get("content-encoding") == coding
    assert response.headers.get("vary") == "Accept-Encoding"
    body = response.body
    assert isinstance(body, StreamBody)
    sent = body.pump()
    plain = gzip.decompress(sent) if coding == "gzip" else zlib.decompress(sent) if coding else sent
    assert plain == TEXT
    assert not coding or len(sent) < len(TEXT)


@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1), st.sampled_from(["gzip", "deflate"]))
def test_a_stream_is_coded_piece_by_piece_and_none_is_held_back(chunks: list[bytes], coding: str) -> None:
    response = code(coding, StreamBody(chunks))
    decoder = zlib.decompressobj(zlib.MAX_WBITS | (16 if coding == "gzip" else 0))
    for chunk in chunks:
        assert decoder.decompress(response.body.through(chunk)) == chunk
    assert decoder.decompress(response.body.through(b"")) == b""
    assert decoder.eof


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"Content-Encoding": "br"}, {}),
        ({"Content-Range": "bytes 0-1/2"}, {}),
        ({"Cache-Control": "private, no-transform"}, {}),
        ({"Content-Type": "image/png"}, {}),
        ({"Content-Type": "nonsense"}, {}),
        ({}, {"status": 206}),
        ({}, {"status": 304}),
        ({}, {"method": "HEAD"}),
        ({}, {"body": b"small"}),
        ({}, {"body": b""}),
        ({}, {"body": b"", "min_size": 0}),
        ({}, {"codings": []}),
        ({}, {"types": ["application/json"]}),
    ],
)
def test_what_must_or_should_stay_stays(given: dict[str, str], changes: dict[str, Any]) -> None:
    response = code(headers=given, **changes)
    assert response.headers.get("content-encoding") == given.get("Content-Encoding")
    assert response.body.wrappers == ()


def test_validators_of_a_coded_answer_are_weak() -> None:
    headers = {"ETag": '"1"', "Content-MD5": "x", "Accept-Ranges": "bytes", "Vary": "Origin"}
    response = code(headers=headers)
    assert response.headers.get("etag") == 'W/"1"'
    assert not response.headers.has("content-md5")
    assert not response.headers.has("accept-ranges")
    assert response.headers.all("vary") == ["Origin", "Accept-Encoding"]


@pytest.mark.parametrize("types", [["text"], ["*/plain"], ["text/plain; charset=utf-8"]])
def test_a_type_is_one_without_parameters(types: list[str]) -> None:
    with pytest.raises(ValueError):
        build(Compression, {"response": {"types": types}})


async def test_filters_behind_it_judge_what_the_upstream_gets() -> None:
    filters: list[dict[str, Any]] = [{"compression": {}}, {"json_body": {}}]
    headers = (("Content-Encoding", "gzip"),)
    sent = request("POST", headers=headers, body=zipped(b'{"a": 1}'))
    found = await outcome(sent, filters=filters)
    assert found.forwarded is not None
    assert found.forwarded.body == b'{"a": 1}'
    names = {name.lower(): value for name, value in found.forwarded.headers}
    assert names["content-length"] == "8"
    assert "content-encoding" not in names
    refused = await outcome(request("POST", headers=headers, body=zipped(b"{")), filters=filters)
    assert (refused.status, refused.reason) == (400, "json_invalid")


async def test_the_client_gets_the_coded_answer_with_its_length() -> None:
    answer = Answer(200, (("Content-Type", "text/plain"),), TEXT)
    found = await outcome(
        request(headers=(("Accept-Encoding", "gzip"),), answer=answer), filters=[{"compression": {}}]
    )
    assert found.answer is not None
    assert gzip.decompress(found.answer.body) == TEXT
    assert dict(found.answer.headers)["Content-Length"] == str(len(found.answer.body))
