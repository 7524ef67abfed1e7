"""Uses the public API as a stranger would; never run, but type-checked with the rest."""

from collections.abc import Awaitable

from pydantic import Field

from gateway.api import (
    Body,
    Duration,
    Exchange,
    Fact,
    Fault,
    Filter,
    Options,
    Principal,
    Refused,
    Response,
    Secret,
    Services,
    Size,
    Verdict,
    fact,
)


class StrangerOptions(Options):
    wait: Duration = Field(default=1.0, description="How long.")
    most: Size = Field(default=1024, description="How much.")
    key: Secret | None = Field(default=None, description="With what.")

    def reads(self) -> frozenset[Fact]:
        return frozenset((fact.METHOD, fact.BODY, fact.header("x-stranger")))


class Stranger(Filter[StrangerOptions]):
    name = "stranger.example"
    Config = StrangerOptions
    reasons = {"stranger": "It is strange."}

    def __init__(self, config: StrangerOptions, services: Services) -> None:
        super().__init__(config, services)
        self._seen: dict[str, int] = services.state("seen", dict)

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        principal: Principal | None = exchange.principal
        if principal is not None and "admin" in principal.roles:
            return None
        exchange.request.headers.set("X-Stranger", "yes")
        exchange.request.body.wrap(self._count)
        exchange.defer(self._seen.clear)
        if exchange.request.body.complete is None:
            return self._wait(exchange.request.body)
        return Response(200, [("X-A", "b")], b"done", reason="stranger")

    def on_response(self, exchange: Exchange) -> Verdict:
        response: Response | None = exchange.response
        if response is not None and response.status >= 500:
            exchange.note("stranger", rule=("wait",), status=response.status)
        return None

    def _count(self, chunk: bytes) -> bytes:
        if len(chunk) > self.config.most:
            raise Refused(Fault(413, "stranger", "Too much.", retry_after=int(self.config.wait)))
        return chunk

    async def _wait(self, body: Body) -> Verdict:
        await body.collect(self.config.most)
        return None
