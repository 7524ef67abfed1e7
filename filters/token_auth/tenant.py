"""The tenant that a request names, and what a token is good for in it: for tokens that are good for several."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from filters.token_auth.option import TenantOptions
from gateway.api import Exchange, Principal
from gateway.api.regex import LONGEST, compile_path
from gateway.http.target import matchable
from gateway.http.template import parse

_DOTS = re.compile(r"(?:[/\\]|%2[Ff]|%5[Cc])(?:\.|%2[Ee]){1,2}(?=[/\\;]|%2[Ff]|%5[Cc]|%3[Bb]|\Z)")
"""A dot segment, as any server may see one: who resolves it finds another tenant than the one that is named before it."""

_ODD = re.compile(r"[;%\\]|//|/\Z|[^\x00-\x7f]")
"""What a path holds that may be read in another way than segment by segment."""

_SLASHES: Final = (None, re.compile("/"), re.compile(r"\\"), re.compile(r"[/\\]"))
"""What parts segments, beside the slashes that are not encoded."""

_MOST: Final = 4
"""Readings of the longest path that expressions are held against; of a shorter one they may be more, for the same cost."""


class TenantRules:
    """Roles that are held in one tenant count in it and nowhere else."""

    def __init__(self, options: TenantOptions) -> None:
        self._param = options.param
        self._expressions = tuple(compile_path(each) for each in options.regex or ())
        self._prefixes = options.strip_prefixes
        self._bypass = frozenset(options.bypass_roles)

    def named(self, exchange: Exchange) -> str | None:
        """The tenant that the path names, percent-decoded once; None where it names none, or could name another.

        Expressions are for the path as a service may read it: with its escapes of unreserved characters decoded, which are no
        other path, and with all of them decoded, as `rbac` has it. What a service may read in another way still, it must not
        find another tenant in (`_readings`).
        """
        path = exchange.path
        if _DOTS.search(path) is not None:
            return None
        odd = _ODD.search(path) is not None
        if self._param is not None:
            name = exchange.params.get(self._param) or None
            return name if not odd or self._stays(exchange, _readings(path)) else None
        if len(path) > LONGEST:
            return None
        if not odd:
            return self._captured(path) or None
        readings = _readings(path)
        if len(readings) * len(path) ** 2 > _MOST * LONGEST**2:
            return None
        # A slash in a segment parts nothing. It is found again by its escape, which the one reading has and the other is given:
        # where a "%2F" was written as "%252F" they disagree.
        plain = self._captured(matchable(path))
        came, *others = map(self._captured, map(_joined, readings))
        names = {
            *(() if plain is None else (_text(plain),)),
            *(() if came is None else (came.replace("%2F", "/"),)),
        }
        if not names:
            return None
        names.update(name.replace("%2F", "/") for name in others if name is not None)
        return (names.pop() or None) if len(names) == 1 else None

    def _stays(self, exchange: Exchange, readings: Sequence[Sequence[str]]) -> bool:
        """Whether the parameter is where it is, and what it is, in each of these readings."""
        assert self._param is not None
        place = _place(exchange.route.template, self._param) if exchange.route is not None else None
        if place is None:
            return len(readings) == 1
        return len({tuple(segments[place : place + 1]) for segments in readings}) == 1

    def _captured(self, path: str) -> str | None:
        """What the first expression that matches has found; None where none does."""
        for expression in self._expressions:
            match = expression.fullmatch(path)
            if match is not None:
                return match[1] or ""
        return None

    def narrowed(self, principal: Principal, tenant: str) -> Principal | None:
        """The caller as far as `tenant` goes; None where the token is not for it."""
        default = principal.default_project_id
        ids = dict.fromkeys(held_in for _, held_in in principal.assignments if held_in is not None)
        if default is not None:
            ids = dict.fromkeys((default, *ids))
        for held in ids:
            if self._is(held, tenant):
                return in_tenant(principal, held)
        everywhere = tuple(role for role, held_in in principal.assignments if held_in is None)
        if self._bypass.isdisjoint(everywhere):
            return None
        return replace(principal, roles=everywhere, project_id=default)

    def bounded(self, principal: Principal) -> bool:
        """Whether only tenants of the token are let through, so that they may be remembered one by one."""
        return not any(role in self._bypass for role, held_in in principal.assignments if held_in is None)

    def _is(self, held: str, named: str) -> bool:
        return held == named or any(
            held.startswith(prefix) and held[len(prefix) :] == named for prefix in self._prefixes
        )


def _readings(path: str) -> list[tuple[str, ...]]:
    """The segments of a path in all the ways in which some server may read it, decoded once; as it came first.

    One takes parameters behind `;` off, before it decodes or after, and one does not; to one an encoded slash is a slash, to one
    a backslash is; and one leaves empty segments out. Each may be so without the others.
    """
    raw = path[1:].split("/")
    decoded = [_text(segment) for segment in raw]
    cuts = [decoded]
    if ";" in path:
        cuts.append([_text(segment.partition(";")[0]) for segment in raw])
    if any(";" in segment for segment in decoded):
        cuts.append([segment.partition(";")[0] for segment in decoded])
    found: dict[tuple[str, ...], None] = {}
    for segments in cuts:
        for slashes in _SLASHES:
            parted = (
                segments if slashes is None else [part for one in segments for part in slashes.split(one)]
            )
            for pieces in (parted, [piece.partition(";")[0] for piece in parted]):
                found[tuple(pieces)] = None
                found[tuple(filter(None, pieces))] = None
    return list(found)


def _joined(segments: Sequence[str]) -> str:
    """A path of these segments; a slash within one is "%2F"."""
    return "/" + "/".join([segment.replace("/", "%2F") for segment in segments])


@lru_cache(maxsize=1024)
def _place(template: str, param: str) -> int | None:
    """Which segment of a route's template a parameter is; None where it is none, or takes several."""
    for place, segment in enumerate(parse(template)):
        if segment.name == param and not segment.rest:
            return place
    return None


def _text(escaped: str) -> str:
    """Decoded once. Bytes that are no UTF-8 stay apart, so that no two spellings of a name are one by accident."""
    return unquote_to_bytes(escaped.encode("latin-1")).decode("utf-8", "surrogateescape")


def in_tenant(principal: Principal, tenant: str | None) -> Principal:
    """The caller with the roles that count in `tenant`: those held in it, and those held in every tenant."""
    roles = (role for role, held_in in principal.assignments if held_in is None or held_in == tenant)
    return replace(
        principal,
        project_id=tenant,
        project_name=principal.project_name if tenant == principal.default_project_id else None,
        roles=tuple(dict.fromkeys(roles)),
    )
