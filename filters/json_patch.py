"""Patches JSON in the bodies of requests and of answers, by the operations of RFC 6902.

Bodies that do not say that they are JSON pass as they came, empty ones too. A patch is applied whole or not at all. A request
that is no JSON, or that does not have what an operation needs, is answered 400; an answer for which that is so is not sent, but
502, since the patch may be what keeps a secret. Of answers only those of a status 2xx are patched; for them, the upstream is asked
for a coding that can be read. What was patched is written anew: members stay in order, a name that was there twice is there once,
and numbers keep their value.
"""

import json
from collections.abc import Awaitable
from typing import Any, Final

from pydantic import Field, model_validator

from filters._body import judged_whole, too_large
from filters._coding import coding_of, decoded
from filters._json_patch import Operation, Patch, PatchFailed
from filters._representation import altered, is_json
from gateway.api import Body, Exchange, Fact, Fault, Filter, Options, Refused, Services, Size, Verdict
from gateway.api.fact import BODY, LENGTH, RESPONSE, header
from gateway.http.fields import Fields
from gateway.http.negotiation import weights

_PATCHED: Final = frozenset(range(200, 300))


class JSONPatchConfig(Options):
    request: tuple[Operation, ...] = Field((), description="Operations on requests, in this order.")
    response: tuple[Operation, ...] = Field((), description="Operations on answers, in this order.")
    max_size: Size = Field(
        1 << 20,
        description="Largest body that is read; a larger request is answered 413, and 502 is sent for a larger answer.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> "JSONPatchConfig":
        if not self.request and not self.response:
            raise ValueError("expected request, response, or both")
        return self

    def reads(self) -> frozenset[Fact]:
        facts: set[Fact] = set()
        if self.request:
            facts |= {header("content-type"), LENGTH, BODY}
        if self.response:
            facts |= {header("accept-encoding"), RESPONSE}
        return frozenset(facts)


class JSONPatch(Filter[JSONPatchConfig]):
    name = "json_patch"
    Config = JSONPatchConfig
    access = {"max_size": "greater", "response": "none"}

    def __init__(self, config: JSONPatchConfig, services: Services) -> None:
        super().__init__(config, services)
        self._request = Patch(config.request) if config.request else None
        self._response = Patch(config.response) if config.response else None
        self.statuses = _PATCHED if config.response else frozenset()
        self._too_large = too_large(config.max_size, ("max_size",))
        self._invalid = Fault(400, "json_invalid", "The request body is not valid JSON.", rule=("request",))

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        headers = exchange.request.headers
        if self._response is not None:
            _ask_readable(headers)
        patch = self._request
        if patch is None or not is_json(headers):
            return None
        body = exchange.request.body
        return judged_whole(
            body, self.config.max_size, self._too_large, lambda raw: self._patch(headers, body, patch, raw)
        )

    def _patch(self, headers: Fields, body: Body, patch: Patch, raw: bytes) -> Verdict:
        if not raw:
            return None
        try:
            body.replace(lambda raw: _patched(raw, patch))
        except PatchFailed as failed:
            return Fault(
                400,
                "patch_failed",
                "The request body does not have what is needed of it.",
                rule=("request", failed.place),
            )
        except (ValueError, RecursionError):
            return self._invalid
        altered(headers)
        return None

    def on_response(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        response = exchange.response
        patch = self._response
        if patch is None or response is None or exchange.method == "HEAD" or not is_json(response.headers):
            return None
        body = response.body
        if body.complete is not None:
            return self._patch_answer(response.headers, body, patch)
        return self._collect_and_patch(response.headers, body, patch)

    async def _collect_and_patch(self, headers: Fields, body: Body, patch: Patch) -> Verdict:
        try:
            await body.collect(self.config.max_size)
        except Refused:
            return _unpatched("It is too large.", ("max_size",))
        return self._patch_answer(headers, body, patch)

    def _patch_answer(self, headers: Fields, body: Body, patch: Patch) -> Verdict:
        limit = self.config.max_size
        if not body.complete:
            return None
        if len(body.complete) > limit:
            return _unpatched("It is too large.", ("max_size",))
        try:
            coding = coding_of(headers)
            body.replace(lambda raw: _patched(raw if coding is None else decoded(raw, coding, limit), patch))
        except PatchFailed as failed:
            return _unpatched("It does not have what is needed of it.", ("response", failed.place))
        except OverflowError:
            return _unpatched("It is too large.", ("max_size",))
        except (ValueError, RecursionError):
            return _unpatched("It cannot be read.", ("response",))
        headers.remove(b"content-encoding")
        altered(headers)
        return None


def _unpatched(why: str, rule: tuple[str | int, ...]) -> Fault:
    return Fault(
        502, "patch_failed", f"The service gave an answer that could not be changed. {why}", rule=rule
    )


def _ask_readable(headers: Fields) -> None:
    """Leaves gzip of what the client accepts, which is all that we can read too."""
    values = headers.all(b"accept-encoding")
    if values:
        headers.set(b"Accept-Encoding", "gzip" if weights(values).get("gzip", 0.0) > 0 else "identity")
    else:
        headers.add(b"Accept-Encoding", "identity")  # none at all takes any


def _patched(raw: bytes, patch: Patch) -> bytes:
    """Raises PatchFailed, ValueError for what is no JSON, and RecursionError for what nests too deep."""
    document = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    after: Any = patch.apply(document)
    return json.dumps(after, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
