"""Gives answers of some statuses another body: by the media type that the client likes best, from texts of the configuration.

As Repose's response messaging did, it fills in what is empty; with `overwrite` it also replaces what there is, of the upstream or
of the gateway itself. The first message that has the status counts. A client that accepts none of its media types gets the first:
no error is replaced by a 406. In a text, `%{status}`, `%{phrase}`, `%{request_id}`, `%{retry_after}` (seconds) and `%{retry_at}`
(the time by ISO 8601) are replaced, escaped as the media type asks for; what is not known is empty.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import escape
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field

from filters._media import MediaType
from filters._representation import altered, vary
from gateway.api import Exchange, Fact, Filter, Options, Services, Verdict
from gateway.api.fact import CLOCK, RESPONSE, header
from gateway.api.option import Statuses, statuses_of
from gateway.http.media import media_type
from gateway.http.negotiation import preferred
from gateway.http.retry_after import LONGEST, seconds_of

_PLACE: Final = re.compile(r"%\{([^}]*)\}")
_NAMES: Final = ("status", "phrase", "request_id", "retry_after", "retry_at")
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def _text(text: str) -> str:
    for name in _PLACE.findall(text):
        if name not in _NAMES:
            raise ValueError(f"%{{{name}}} is none of {', '.join(f'%{{{known}}}' for known in _NAMES)}")
    return text


class MessageOptions(Options):
    """What answers of some statuses get."""

    status: tuple[Statuses, ...] = Field(
        min_length=1, description="Statuses of the answers, such as 413 or 500-599."
    )
    bodies: dict[MediaType, Annotated[str, AfterValidator(_text)]] = Field(
        min_length=1, description="Texts by their media type, which may have parameters: media type: text."
    )
    overwrite: bool = Field(False, description="Whether a body that is there is replaced.")


class MessagesConfig(Options):
    messages: tuple[MessageOptions, ...] = Field(min_length=1, description="The messages, in this order.")

    def reads(self) -> frozenset[Fact]:
        return frozenset({header("accept"), RESPONSE, CLOCK})


class _Text(NamedTuple):
    """A body to be written: its media type as it is sent, its pieces, and how values are escaped in it."""

    content_type: str
    pieces: tuple[str, ...]
    escape: Callable[[str], str]

    def written(self, values: Mapping[str, str]) -> bytes:
        # re.split puts the names at odd places.
        return "".join(
            self.escape(values.get(piece, "")) if place % 2 else piece
            for place, piece in enumerate(self.pieces)
        ).encode("utf-8")


class _Message(NamedTuple):
    overwrite: bool
    types: tuple[str, ...]
    texts: Mapping[str, _Text]


class Messages(Filter[MessagesConfig]):
    name = "messages"
    Config = MessagesConfig
    access = {"messages": "none"}

    def __init__(self, config: MessagesConfig, services: Services) -> None:
        super().__init__(config, services)
        self._by_status: dict[int, _Message] = {}
        for options in config.messages:
            texts = {
                media_type(kind) or "": _Text(kind, tuple(_PLACE.split(text)), _escape_of(kind))
                for kind, text in options.bodies.items()
            }
            message = _Message(options.overwrite, tuple(texts), texts)
            for statuses in options.status:
                for status in statuses_of(statuses):
                    self._by_status.setdefault(status, message)
        self.statuses = frozenset(self._by_status) - {204, 205, 304}

    def on_response(self, exchange: Exchange) -> Verdict:
        response = exchange.response
        message = self._by_status.get(response.status) if response is not None else None
        if response is None or message is None:
            return None
        if response.body.length != 0 and not message.overwrite:
            return None
        fields = response.headers
        if len(message.types) > 1:
            vary(fields, "Accept")
        kind = preferred(message.types, exchange.request.headers.all(b"accept")) or message.types[0]
        text = message.texts[kind]
        altered(fields)
        for name in (b"content-length", b"content-encoding", b"etag"):
            fields.remove(name)
        fields.set(b"Content-Type", text.content_type)
        values = {
            "status": str(response.status),
            "phrase": response.phrase.decode("latin-1") or _PHRASES.get(response.status, ""),
            "request_id": exchange.request_id,
            **_retry(fields.get(b"retry-after"), exchange.clock.wall),
        }
        response.body.wrap(_Instead(text.written(values)), resizes=True)
        return None


def _retry(value: str | None, now: float) -> dict[str, str]:
    seconds = seconds_of(value.encode("latin-1"), now) if value is not None else None
    if seconds is None or seconds >= LONGEST:
        return {}
    at = datetime.fromtimestamp(now + seconds, UTC)
    return {"retry_after": str(round(seconds)), "retry_at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _escape_of(kind: str) -> Callable[[str], str]:
    sub = (media_type(kind) or "").partition("/")[2]
    if sub == "json" or sub.endswith("+json"):
        return lambda value: json.dumps(value)[1:-1]
    if sub in ("xml", "html") or sub.endswith("+xml"):
        return escape
    return str


class _Instead:
    """A body wrapper that lets nothing through, and ends with another body."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __call__(self, chunk: bytes) -> bytes:
        return b"" if chunk else self._body
