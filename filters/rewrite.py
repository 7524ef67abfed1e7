"""Sends the upstream another path: without a prefix, a segment or a suffix, or with a prefix before it.

`drop_segment` comes first, then `strip_prefix`, then `suffixes`, and `add_prefix` last. What stays of the path is sent byte for
byte as it came. Routes, conditions and filters go on judging by the path that was received. What the upstream says of its own
paths in Location and Content-Location is turned back where it is about this gateway's host, and left alone where it is about
another or is outside of `add_prefix`; what it writes in bodies is not. A path that a rule does not fit is sent as it is.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from filters._media import MediaType
from filters._representation import vary
from filters._target import retarget
from gateway.api import Exchange, Fact, Filter, Options, Rule, Services, Verdict
from gateway.api.fact import HOST, RESPONSE, SCHEME, TARGET, header
from gateway.http.fields import Fields
from gateway.http.target import matchable
from gateway.http.template import parse

_FIELDS: Final = (b"Location", b"Content-Location")
_ABSOLUTE: Final = re.compile(r"(https?)://([^/?#]*+)([^?#]*+)(.*)", re.IGNORECASE | re.DOTALL)
_PATH: Final = re.compile(r"(/(?!/)[^?#]*+)(.*)", re.DOTALL)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def _prefix(text: str) -> str:
    segments = parse(text)
    if any(segment.literal is None for segment in segments):
        raise ValueError(f"a prefix has no parameters, got {text!r}")
    if text.endswith("/"):
        raise ValueError(f"a prefix is whole segments, without a slash at the end: got {text!r}")
    return text


def _suffix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError(f"a suffix is what stands behind the dot, such as json: got {text!r}")
    return text


Prefix = Annotated[str, AfterValidator(_prefix)]
Suffix = Annotated[str, AfterValidator(_suffix)]


class RewriteConfig(Options):
    drop_segment: int | None = Field(
        None,
        ge=0,
        le=63,
        description="Leaves out the segment at this place, counted from 0: 1 of /v2/p1/servers is p1.",
    )
    strip_prefix: Prefix | None = Field(
        None, description="Leaves out these segments at the beginning, such as /compute."
    )
    add_prefix: Prefix | None = Field(None, description="Puts these segments before the path.")
    suffixes: dict[Suffix, MediaType] = Field(
        {},
        description="Takes a suffix off the last segment and asks for its media type by Accept, whatever that was: "
        "json: application/json.",
    )
    preferred: MediaType | None = Field(
        None,
        description="Media type that is asked for where there is no such suffix, and no Accept but `*/*`; Accept is left "
        "alone where unset.",
    )
    location: bool = Field(
        True, description="Whether Location and Content-Location of the answer are turned back."
    )
    location_hosts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Hosts, with their port if it is not the scheme's own, by which the upstream calls itself there, beside "
        "the client's Host; they become that.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> "RewriteConfig":
        paths = (self.drop_segment, self.strip_prefix, self.add_prefix)
        if paths.count(None) == len(paths) and not self.suffixes and self.preferred is None:
            raise ValueError(
                "expected one of drop_segment, strip_prefix, add_prefix, suffixes and preferred at least"
            )
        return self

    @property
    def negotiates(self) -> bool:
        return bool(self.suffixes) or self.preferred is not None

    @property
    def turns_back(self) -> bool:
        moves = self.drop_segment is not None or self.strip_prefix or self.add_prefix
        return self.location and bool(moves or self.location_hosts)

    def reads(self) -> frozenset[Fact]:
        facts = {TARGET}
        if self.negotiates:
            facts.add(header("accept"))
        if self.turns_back:
            facts |= {HOST, SCHEME, RESPONSE}
        return frozenset(facts)


class Rewrite(Filter[RewriteConfig]):
    name = "rewrite"
    Config = RewriteConfig
    access = {"location": "none", "location_hosts": "none"}

    def __init__(self, config: RewriteConfig, services: Services) -> None:
        super().__init__(config, services)
        self._stripped = _segments(config.strip_prefix)
        self._added = _segments(config.add_prefix)
        self._types = {suffix.lower(): kind for suffix, kind in config.suffixes.items()}
        self._hosts = frozenset(host.lower() for host in config.location_hosts)
        if not (config.turns_back or config.negotiates):
            self.statuses = frozenset()

    def on_request(self, exchange: Exchange) -> Verdict:
        raw, mark, query = exchange.outgoing.partition(b"?")
        if not raw.startswith(b"/"):
            return None  # OPTIONS *
        before = raw.decode("latin-1").split("/")[1:]
        path, rule = self._moved(before)
        if self.config.negotiates:
            path, rule = self._negotiated(exchange.request.headers, path, rule)
        path = [*self._added, *path] or [""]
        if self._added:
            rule = rule or ("add_prefix",)
        if path == before:
            return None
        return retarget(exchange, ("/" + "/".join(path)).encode("latin-1") + mark + query, rule)

    def _moved(self, path: list[str]) -> tuple[list[str], Rule]:
        """The segments without what is left out, and the option that has left something out."""
        rule: Rule = ()
        place = self.config.drop_segment
        if place is not None and place < len(path) and path[place]:
            path = [*path[:place], *path[place + 1 :]]
            rule = ("drop_segment",)
        if self._stripped and _begins(path, self._stripped):
            path = path[len(self._stripped) :]
            rule = rule or ("strip_prefix",)
        return path, rule

    def _negotiated(self, headers: Fields, path: list[str], rule: Rule) -> tuple[list[str], Rule]:
        stem, _, suffix = path[-1].rpartition(".") if path else ("", "", "")
        kind = self._types.get(suffix.lower()) if stem else None
        if kind is not None:
            headers.set(b"Accept", kind)
            return [*path[:-1], stem], rule or ("suffixes",)
        if self.config.preferred is not None:
            accepts = headers.all(b"accept")
            if not accepts or accepts == ["*/*"]:
                headers.set(b"Accept", self.config.preferred)
        return path, rule

    def on_response(self, exchange: Exchange) -> Verdict:
        response = exchange.response
        if response is None:
            return None
        fields = response.headers
        if self.config.preferred is not None:
            vary(fields, "Accept")
        if self.config.turns_back:
            for name in _FIELDS:
                value = fields.get(name)
                if value is not None and (turned := self._turned(exchange, value)) is not None:
                    fields.set(name, turned)
        return None

    def _turned(self, exchange: Exchange, value: str) -> str | None:
        """The URI as the client would have to write it; None for one that is left alone."""
        absolute = _ABSOLUTE.fullmatch(value)
        if absolute is not None:
            scheme, authority, path, rest = absolute.groups()
            named = authority.lower().removesuffix(_DEFAULT_PORTS[scheme.lower()])
            if named in self._hosts:
                origin = f"{exchange.scheme}://{exchange.host}"
            elif named == exchange.host.lower().removesuffix(_DEFAULT_PORTS[scheme.lower()]):
                origin = f"{scheme}://{authority}"
            else:
                return None
        else:
            relative = _PATH.fullmatch(value)
            if relative is None:
                return None
            origin, (path, rest) = "", relative.groups()
        back = self._back(exchange, (path or "/").split("/")[1:])
        return None if back is None else f"{origin}/{'/'.join(back)}{rest}"

    def _back(self, exchange: Exchange, path: list[str]) -> list[str] | None:
        if self._added:
            if not _begins(path, self._added):
                return None
            path = path[len(self._added) :]
        asked = exchange.path.split("/")[1:]
        if self._stripped and _begins(self._moved_place(asked), self._stripped):
            path = [*self._stripped, *path]
        place = self.config.drop_segment
        if place is not None and place < len(asked) and asked[place] and place <= len(path):
            path = [*path[:place], asked[place], *path[place:]]
        return path or [""]

    def _moved_place(self, asked: list[str]) -> list[str]:
        place = self.config.drop_segment
        return asked if place is None else [*asked[:place], *asked[place + 1 :]]


def _segments(prefix: str | None) -> tuple[str, ...]:
    return () if prefix is None else tuple(prefix.split("/")[1:])


def _begins(path: Sequence[str], prefix: Sequence[str]) -> bool:
    """Whether a path begins with these segments, in the form in which paths are compared."""
    return len(path) >= len(prefix) and all(
        matchable(one) == matchable(other) for one, other in zip(path, prefix, strict=False)
    )
