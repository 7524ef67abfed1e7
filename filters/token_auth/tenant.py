"""The tenant that a request names, and what a token is good for in it: for tokens that are good for several."""

import re
from dataclasses import replace
from urllib.parse import unquote_to_bytes

from filters.token_auth.option import TenantOptions
from gateway.api import Exchange, Principal
from gateway.api.regex import LONGEST, compile_path
from gateway.http.target import matchable

_DOTS = re.compile(r"(?:[/\\]|%2[Ff]|%5[Cc])(?:\.|%2[Ee]){1,2}(?=[/\\;]|%2[Ff]|%5[Cc]|%3[Bb]|\Z)")
"""A dot segment, as any server may see one: who resolves it finds another tenant than the one that is named before it."""


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
        other path, and with all of them decoded, as `rbac` has it. Where these name two tenants, nobody knows which is meant.
        """
        path = exchange.path
        if _DOTS.search(path) is not None:
            return None
        if self._param is not None:
            return exchange.params.get(self._param) or None
        if len(path) > LONGEST:
            return None
        if "%" not in path:
            return self._captured(path) or None
        # A slash in a segment parts nothing. It is found again by its escape, which the one reading has and the other is given:
        # where a "%2F" was written as "%252F" they disagree.
        plain, told = self._captured(matchable(path)), self._captured(_decoded(path))
        names = {
            *(() if plain is None else (_text(plain),)),
            *(() if told is None else (told.replace("%2F", "/"),)),
        }
        return (names.pop() or None) if len(names) == 1 else None

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


def _decoded(path: str) -> str:
    """The path percent-decoded segment by segment; a slash within one is "%2F"."""
    return "/".join([_text(segment).replace("/", "%2F") for segment in path.split("/")])


def _text(escaped: str) -> str:
    """Decoded once. Bytes that are no UTF-8 stay apart, so that no two spellings of a name are one by accident."""
    return unquote_to_bytes(escaped).decode("utf-8", "surrogateescape")


def in_tenant(principal: Principal, tenant: str | None) -> Principal:
    """The caller with the roles that count in `tenant`: those held in it, and those held in every tenant."""
    roles = (role for role, held_in in principal.assignments if held_in is None or held_in == tenant)
    return replace(
        principal,
        project_id=tenant,
        project_name=principal.project_name if tenant == principal.default_project_id else None,
        roles=tuple(dict.fromkeys(roles)),
    )
