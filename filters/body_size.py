"""Refuses a request body that is larger than allowed: 413 without Retry-After (RFC 9110 section 15.5.14).

A body whose length is known is judged before a byte of it is read. A chunked one is counted on its way, and
stopped at the first byte too many.
"""

from pydantic import Field

from filters._body import too_large
from gateway.api import Exchange, Fault, Filter, Options, Refused, Services, Size, Verdict
from gateway.api.fact import LENGTH

NOVA_DEFAULT = 112 * 1024


class BodySizeConfig(Options):
    max: Size = Field(
        NOVA_DEFAULT,
        description="Largest body that passes, such as 64KiB; one of exactly this size passes. The default is "
        "what OpenStack services accept by default, 112KiB.",
    )


class BodySize(Filter[BodySizeConfig]):
    name = "body_size"
    Config = BodySizeConfig
    access = {"max": "greater"}
    only_refuses = True
    reads = frozenset({LENGTH})

    def __init__(self, config: BodySizeConfig, services: Services) -> None:
        super().__init__(config, services)
        self._max = config.max
        self._refusal = too_large(config.max, ("max",))

    def on_request(self, exchange: Exchange) -> Verdict:
        length = exchange.request.body.length
        if length is None:
            exchange.request.body.wrap(_Count(self._max, self._refusal))
            return None
        # A body of known length is framed by it: it cannot bring more bytes than it announced.
        return None if length <= self._max else self._refusal


class _Count:
    """A body wrapper that lets `left` bytes through and refuses the next."""

    __slots__ = ("_left", "_refusal")

    def __init__(self, left: int, refusal: Fault) -> None:
        self._left = left
        self._refusal = refusal

    def __call__(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise Refused(self._refusal)
        return chunk
