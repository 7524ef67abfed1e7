"""Filters that misbehave, or that show what they see: plugins of the wire tests, named `test.NAME`."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from pydantic import Field

from gateway.api import Exchange, Fault, Filter, Options, Refused, Response, Verdict
from gateway.http.fields import Fields


class Nothing(Options):
    """No options."""


class RaiseOnRequest(Filter[Nothing]):
    """Has a bug on the way inward."""

    name = "test.raise_on_request"
    Config = Nothing

    def on_request(self, exchange: Exchange) -> Verdict:
        raise ZeroDivisionError("secret detail of a bug")


class RaiseLater(Filter[Nothing]):
    """Has a bug behind an await."""

    name = "test.raise_later"
    Config = Nothing

    async def on_request(self, exchange: Exchange) -> Verdict:
        await asyncio.sleep(0)
        raise ZeroDivisionError("secret detail of a bug")


class RaiseOnResponse(Filter[Nothing]):
    """Has a bug on the way outward."""

    name = "test.raise_on_response"
    Config = Nothing

    def on_response(self, exchange: Exchange) -> Verdict:
        raise ZeroDivisionError("secret detail of a bug")


class RaiseInDefer(Filter[Nothing]):
    """Defers a callback with a bug, between two that have none."""

    name = "test.raise_in_defer"
    Config = Nothing
    ran: list[str] = []

    def on_request(self, exchange: Exchange) -> Verdict:
        exchange.defer(lambda: self.ran.append("first"))
        exchange.defer(self._break)
        exchange.defer(lambda: self.ran.append("last"))
        return None

    def _break(self) -> None:
        raise ZeroDivisionError("secret detail of a bug")


class RaiseInBody(Filter[Nothing]):
    """Wraps the request body with a bug."""

    name = "test.raise_in_body"
    Config = Nothing

    def on_request(self, exchange: Exchange) -> Verdict:
        exchange.request.body.wrap(_break)
        return None


class AnswerOptions(Options):
    after: int = Field(0, description="Bytes that pass before the bug.")


class RaiseInAnswer(Filter[AnswerOptions]):
    """Wraps the body of the answer with a bug, after a number of bytes."""

    name = "test.raise_in_answer"
    Config = AnswerOptions

    def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        exchange.response.body.wrap(_BreakAfter(self.config.after))
        return None


class _BreakAfter:
    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise ZeroDivisionError("secret detail of a bug")
        return chunk


def _break(chunk: bytes) -> bytes:
    raise ZeroDivisionError("secret detail of a bug")


class WrongVerdict(Filter[Nothing]):
    """Returns what is no verdict."""

    name = "test.wrong_verdict"
    Config = Nothing

    def on_request(self, exchange: Exchange) -> Verdict:
        return True  # type: ignore[return-value] # the bug


class MisfitOptions(Options):
    what: str = Field(description="What is wrong.")


class Misfit(Filter[MisfitOptions]):
    """Hands over values of wrong types: a plugin is typed by its own checker only."""

    name = "test.misfit"
    Config = MisfitOptions

    def on_request(self, exchange: Exchange) -> Verdict:
        odd: Any
        match self.config.what:
            case "fault status":
                odd = "418"
                return Fault(odd, "forbidden", "No.")
            case "fault status beyond":
                return Fault(99, "forbidden", "No.")
            case "fault retry_after":
                odd = 1.5
                return Fault(503, "forbidden", "No.", retry_after=odd)
            case "fault rule":
                odd = ["limits"]
                return Fault(403, "forbidden", "No.", rule=odd)
            case "response body":
                odd = "text"
                return Response(201, [], odd)
            case "note rule":
                odd = ["x"]
                exchange.note("passed", rule=odd)
            case "attribute":
                odd = exchange
                odd.colour = "blue"
            case "cancelled":
                raise asyncio.CancelledError
        return None

    def on_response(self, exchange: Exchange) -> Verdict:
        odd: Any
        response: Any = exchange.response
        match self.config.what:
            case "no response":
                exchange.response = None
            case "status":
                odd = "x"
                response.status = odd
            case "phrase":
                odd = "x"
                response.phrase = odd
            case "body":
                odd = b"x"
                response.body = odd
            case "wrapper":
                odd = bytes.decode
                response.body.wrap(odd)
        return None


class Seen(Filter[Nothing]):
    """Remembers what it sees, and marks the answer."""

    name = "test.seen"
    Config = Nothing
    events: list[str] = []

    def on_request(self, exchange: Exchange) -> Verdict:
        self.events.append(f"request {exchange.method}")
        exchange.defer(lambda: self.events.append("over"))
        return None

    def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        self.events.append(f"response {exchange.response.status}")
        exchange.response.headers.set("X-Seen", "yes")
        return None


class CollectOptions(Options):
    limit: int = Field(1000, description="Largest body.")


class Collect(Filter[CollectOptions]):
    """Reads the whole request body before it passes."""

    name = "test.collect"
    Config = CollectOptions

    def on_request(self, exchange: Exchange) -> Awaitable[Verdict]:
        return self._read(exchange)

    async def _read(self, exchange: Exchange) -> Verdict:
        whole = await exchange.request.body.collect(self.config.limit)
        exchange.request.headers.set("X-Collected", str(len(whole)))
        return None


class CollectAnswer(Filter[CollectOptions]):
    """Reads the whole body of the answer before it passes."""

    name = "test.collect_answer"
    Config = CollectOptions

    async def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        whole = await exchange.response.body.collect(self.config.limit)
        exchange.response.headers.set("X-Collected", str(len(whole)))
        return None


class Upper(Filter[Nothing]):
    """Changes both bodies, and their length: each letter twice, in capitals."""

    name = "test.upper"
    Config = Nothing

    def on_request(self, exchange: Exchange) -> Verdict:
        exchange.request.body.wrap(_twice, resizes=True)
        return None

    def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        exchange.response.body.wrap(_twice, resizes=True)
        return None


def _twice(chunk: bytes) -> bytes:
    return bytes(byte for byte in chunk.upper() for _ in range(2))


class RefuseInAnswer(Filter[AnswerOptions]):
    """Refuses the body of an answer on its way, after a number of bytes."""

    name = "test.refuse_in_answer"
    Config = AnswerOptions

    def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        left = self.config.after

        def count(chunk: bytes) -> bytes:
            nonlocal left
            left -= len(chunk)
            if left < 0:
                raise Refused(Fault(502, "response_too_large", "The answer is too large."))
            return chunk

        exchange.response.body.wrap(count)
        return None


class Hold(Filter[Nothing]):
    """Waits on the way inward until the test lets it go on, and tells whether it was cancelled."""

    name = "test.hold"
    Config = Nothing
    events: list[str] = []
    gate: "asyncio.Event"

    async def on_request(self, exchange: Exchange) -> Verdict:
        self.events.append("waits")
        exchange.defer(lambda: self.events.append("over"))
        try:
            await type(self).gate.wait()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        return None


class HoldAnswer(Filter[Nothing]):
    """Waits on the way outward until the test lets it go on."""

    name = "test.hold_answer"
    Config = Nothing
    events: list[str] = []
    gate: "asyncio.Event"

    async def on_response(self, exchange: Exchange) -> Verdict:
        self.events.append("waits")
        await type(self).gate.wait()
        return None


class Answers(Filter[Nothing]):
    """Answers by itself."""

    name = "test.answers"
    Config = Nothing

    def on_request(self, exchange: Exchange) -> Verdict:
        return Response(299, [("Content-Type", "text/plain")], b"mine")


class Forbid(Filter[Nothing]):
    """Refuses every request."""

    name = "test.forbid"
    Config = Nothing

    def on_request(self, exchange: Exchange) -> Verdict:
        return Fault(403, "address_denied", "Not you.", rule=("allow", 0))


class LengthOptions(Options):
    value: str | None = Field(None, description="What Content-Length says; the field is removed where null.")


class WrongLength(Filter[LengthOptions]):
    """Tampers with the length of both messages, as a filter must not."""

    name = "test.wrong_length"
    Config = LengthOptions

    def on_request(self, exchange: Exchange) -> Verdict:
        self._tamper(exchange.request.headers)
        return None

    def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        self._tamper(exchange.response.headers)
        return None

    def _tamper(self, fields: Fields) -> None:
        fields.remove("Transfer-Encoding")
        if self.config.value is None:
            fields.remove("Content-Length")
        else:
            fields.set("Content-Length", self.config.value)


class Lasts(Filter[Nothing]):
    """Keeps each request until it is let go, and says when it is closed."""

    name = "test.lasts"
    Config = Nothing
    closed = False

    async def start(self) -> None:
        self._gone = asyncio.Event()

    def go(self) -> None:
        self._gone.set()

    async def on_request(self, exchange: Exchange) -> Verdict:
        await self._gone.wait()
        return None

    async def close(self) -> None:
        self.closed = True


class NoStart(Filter[Nothing]):
    """Cannot be started."""

    name = "test.no_start"
    Config = Nothing

    async def start(self) -> None:
        raise OSError("no route to the identity service")


class AnswersSeen(Filter[Nothing]):
    """Says in the answer which answers it has seen."""

    name = "test.answers_seen"
    Config = Nothing

    def on_response(self, exchange: Exchange) -> Verdict:
        assert exchange.response is not None
        exchange.response.headers.add("X-Seen", str(exchange.response.status))
        return None
