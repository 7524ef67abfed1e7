"""What a request is known by where that decides which endpoint it goes to."""

from collections.abc import Callable

from gateway.api.exchange import Exchange

KeyReader = Callable[[Exchange], bytes | None]
"""Gives the key of a request, None where it has none."""


def key_reader(hash: str) -> KeyReader:
    """The reader of what an upstream's `hash` names."""
    kind, _, name = hash.partition(":")
    if kind == "header":
        return _header(name)
    if kind == "param":
        return _param(name)
    return _PLAIN[hash]


def _header(name: str) -> KeyReader:
    def read(exchange: Exchange) -> bytes | None:
        value = exchange.request.headers.get(name)
        return value.encode("latin-1") if value else None

    return read


def _param(name: str) -> KeyReader:
    def read(exchange: Exchange) -> bytes | None:
        return _bytes(exchange.params.get(name))

    return read


def _project_id(exchange: Exchange) -> bytes | None:
    principal = exchange.principal
    return _bytes(principal.project_id) if principal is not None else None


def _user_id(exchange: Exchange) -> bytes | None:
    principal = exchange.principal
    return _bytes(principal.user_id) if principal is not None else None


def _client_ip(exchange: Exchange) -> bytes | None:
    return _bytes(exchange.client)


def _bytes(value: str | None) -> bytes | None:
    return value.encode("utf-8", "surrogateescape") if value else None


_PLAIN: dict[str, KeyReader] = {
    "project_id": _project_id,
    "user_id": _user_id,
    "client_ip": _client_ip,
}
