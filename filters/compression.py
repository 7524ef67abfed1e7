"""Takes the content coding off request bodies, and puts one on answers: gzip and deflate (RFC 9110 section 8.4.1).

A request body that is coded is read whole and decoded, so that filters behind this one judge what the upstream gets; it has no
more bytes than `max_size`, coded or not, and what is beyond is not decoded: 413. A coding that is not known is answered 415, and
a body that is not what it says to be 400. Answers are coded on their way, for a client that accepts it, where their media type is
among `types`, they are not small, and nothing says that they must stay as they are: a coding, a range, `no-transform`.
Other codings (br, zstd) would need libraries beyond the standard one.

Whoever can have something of his own in an answer beside a secret, and see how long it is, can guess the secret (BREACH): leave
such routes out by `when`.
"""

import zlib
from collections.abc import Awaitable
from typing import Literal

from pydantic import Field

from filters._body import judged_whole, too_large
from filters._coding import WINDOWS, UnknownCoding, coding_of, decoded
from filters._media import MediaRange, is_among
from filters._representation import altered, vary
from gateway.api import Body, Exchange, Fact, Fault, Filter, Options, Services, Size, Verdict
from gateway.api.fact import BODY, LENGTH, RESPONSE, header
from gateway.http.fields import Fields
from gateway.http.negotiation import weights

Coding = Literal["gzip", "deflate"]


class RequestOptions(Options):
    """What is done to requests."""

    decode: bool = Field(True, description="Whether coded bodies are decoded; else they pass as they came.")
    max_size: Size = Field(
        1 << 20,
        description="Bytes that a coded body may have, and what is decoded of it; 413 beyond.",
    )


class ResponseOptions(Options):
    """What is done to answers."""

    codings: tuple[Coding, ...] = Field(
        ("gzip", "deflate"),
        description="Codings that answers may get; of several that a client likes as well as the others the first one. "
        "None where empty.",
    )
    min_size: Size = Field(
        1 << 10, description="Answers below are sent as they are; one of unknown length is not."
    )
    types: tuple[MediaRange, ...] = Field(
        (
            "application/json",
            "application/xml",
            "application/javascript",
            "application/problem+json",
            "image/svg+xml",
            "text/*",
        ),
        description="Media types of answers that are coded; `text/*` is all of that kind.",
    )
    level: int = Field(6, ge=1, le=9, description="From 1, the fastest, to 9, the smallest.")


_REQUEST = RequestOptions.model_validate({})
_RESPONSE = ResponseOptions.model_validate({})


class CompressionConfig(Options):
    request: RequestOptions = Field(_REQUEST, description="What is done to requests.")
    response: ResponseOptions = Field(_RESPONSE, description="What is done to answers.")

    def reads(self) -> frozenset[Fact]:
        facts: set[Fact] = set()
        if self.request.decode:
            facts |= {header("content-encoding"), LENGTH, BODY}
        if self.response.codings:
            facts |= {header("accept-encoding"), RESPONSE}
        return frozenset(facts)


class Compression(Filter[CompressionConfig]):
    name = "compression"
    Config = CompressionConfig
    access = {"request.max_size": "greater", "response": "none"}

    def __init__(self, config: CompressionConfig, services: Services) -> None:
        super().__init__(config, services)
        self._max = config.request.max_size
        self._types = frozenset(config.response.types)
        if not config.response.codings:
            self.statuses = frozenset()
        self._too_large = too_large(self._max, ("request", "max_size"))
        self._unknown = Fault(
            415,
            "encoding_unsupported",
            "Unsupported Content-Encoding.",
            rule=("request", "decode"),
            headers=(("Accept-Encoding", "gzip, deflate"),),
            details="Accepted here: gzip, deflate.",
        )
        self._invalid = Fault(
            400,
            "encoding_invalid",
            "The request body is not what its Content-Encoding says.",
            rule=("request", "decode"),
        )

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        headers = exchange.request.headers
        if not self.config.request.decode:
            return None
        try:
            coding = coding_of(headers)
        except UnknownCoding:
            return self._unknown
        if coding is None:
            return None
        body = exchange.request.body
        return judged_whole(body, self._max, self._too_large, lambda _: self._decode(exchange, body, coding))

    def _decode(self, exchange: Exchange, body: Body, coding: str) -> Verdict:
        try:
            body.replace(lambda raw: decoded(raw, coding, self._max))
        except OverflowError:
            return self._too_large
        except ValueError:
            return self._invalid
        fields = exchange.request.headers
        fields.remove(b"content-encoding")
        altered(fields)
        return None

    def on_response(self, exchange: Exchange) -> Verdict:
        response = exchange.response
        if response is None or not self._is_codable(response.status, response.headers):
            return None
        vary(response.headers, "Accept-Encoding")
        length = response.body.length
        coding = _chosen(self.config.response.codings, exchange.request.headers.all(b"accept-encoding"))
        if coding is None or exchange.method == "HEAD":
            return None
        if length is not None and length < max(self.config.response.min_size, 1):
            return None
        fields = response.headers
        fields.set(b"Content-Encoding", coding)
        fields.remove(b"content-length")
        altered(fields)
        response.body.wrap(_Encoder(coding, self.config.response.level), resizes=True)
        return None

    def _is_codable(self, status: int, fields: Fields) -> bool:
        if status < 200 or status in (204, 206, 304):
            return False
        if fields.has(b"content-encoding") or fields.has(b"content-range"):
            return False
        if "no-transform" in ",".join(fields.all(b"cache-control")).lower():
            return False
        return is_among(fields.get(b"content-type") or "", self._types)


def _chosen(codings: tuple[Coding, ...], accept: list[str]) -> Coding | None:
    """The coding that a client likes best; None where it likes none, or the bare content better (RFC 9110 12.5.3)."""
    if not codings or not accept:
        return None
    told = weights(accept)
    told["gzip"] = max(told.get("gzip", -1.0), told.get("x-gzip", -1.0))
    rest = told.get("*", 0.0)
    liked = [(told[coding] if told.get(coding, -1.0) >= 0 else rest, coding) for coding in codings]
    best, coding = max(liked, key=lambda pair: pair[0])
    return coding if best > 0 and best >= told.get("identity", 0.0) else None


class _Encoder:
    """A body wrapper that codes what passes. What a stream brings goes on at once, as far as the coder lets it."""

    __slots__ = ("_coder",)

    def __init__(self, coding: str, level: int) -> None:
        self._coder = zlib.compressobj(level, zlib.DEFLATED, WINDOWS[coding])

    def __call__(self, chunk: bytes) -> bytes:
        if not chunk:
            return self._coder.flush()
        # A client of a stream waits for this piece, not for the next.
        return self._coder.compress(chunk) + self._coder.flush(zlib.Z_SYNC_FLUSH)
