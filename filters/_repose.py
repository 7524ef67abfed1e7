"""The header profile `repose`: what upstreams read that used to be behind Repose.

Repose's lists hold `value;q=quality` parted by commas; in them a comma, a semicolon and a percent sign of a name are
percent-encoded, since a name would otherwise say that it is two, or which of them counts more.
"""

import json
from base64 import b64encode
from typing import Final

from pydantic import Field

from filters._identity import joined_roles, line_of
from filters._names import Quality, rated
from gateway.api import Options, Principal
from gateway.http import delegation
from gateway.http.date import http_date
from gateway.http.delegation import Delegation
from gateway.http.fields import Fields

_ESCAPED: Final = str.maketrans({"%": "%25", ",": "%2C", ";": "%3B"})
_LAST: Final = 253402300799.0
"""The last second that a date of four digits of a year can name."""

EVERY_PROJECT: Final = "repose/domain/roles"
"""What X-Map-Roles calls the roles that are held in no project of their own."""


class TenantQualityOptions(Options):
    """How much each tenant in X-Tenant-Id counts."""

    chosen: Quality = Field(default=0.9, description="The one that the request names.")
    default: Quality = Field(default=0.7, description="The token's default.")
    roles: Quality = Field(default=0.5, description="Those in which the user has roles.")


class ReposeOptions(Options):
    """What Repose's configuration says of header fields."""

    user_quality: Quality | None = Field(
        default=1.0, description="Quality of X-PP-User; null leaves it unsaid."
    )
    group_quality: Quality | None = Field(
        default=1.0, description="Quality of each of X-PP-Groups; null leaves it unsaid."
    )
    all_tenants: bool = Field(
        default=False,
        description="Tell every tenant of the token, in place of the one that the request names, or the default.",
    )
    tenant_quality: TenantQualityOptions | None = Field(
        default=None, description="Qualities of X-Tenant-Id; unset, they are unsaid."
    )
    delegation_quality: Quality = Field(
        default=0.7,
        description="Quality of X-Delegated, which says beside `X-Identity-Status: Indeterminate` why a request would have "
        "been refused.",
    )


class Repose:
    """As Repose's filters for Keystone write it, v2 and v3 in one."""

    # Repose knows of no services that vouch for requests.
    service_invalid = Fields()

    def __init__(self, options: ReposeOptions, component: str) -> None:
        self._options = options
        self._component = component
        self._invalid: dict[tuple[int, str], Fields] = {}

    def service_fields(self, principal: Principal) -> Fields:
        return self.service_invalid

    def invalid(self, status: int, message: str) -> Fields:
        made = self._invalid.get((status, message))
        if made is None:
            why = Delegation(status, self._component, message, self._options.delegation_quality)
            made = Fields(
                [
                    line_of("X-Identity-Status", "Indeterminate"),
                    line_of("X-Authorization", "Proxy"),
                    line_of(delegation.NAME, delegation.written(why)),
                ]
            )
            self._invalid[status, message] = made
        return made

    def fields(self, principal: Principal, catalog: str | None = None, *, chosen: bool = False) -> Fields:
        options = self._options
        user, tenant, expires = principal.user_name, principal.project_id, principal.expires_at
        map_roles = _roles_by_tenant(principal, chosen and not options.all_tenants)
        values = (
            ("X-Identity-Status", "Confirmed"),
            ("X-Authorization", "Proxy" if tenant is None else f"Proxy {tenant}"),
            ("X-PP-User", user and rated(user.translate(_ESCAPED), options.user_quality)),
            ("X-PP-Groups", _list(principal.groups, options.group_quality)),
            ("X-User-Id", principal.user_id),
            ("X-User-Name", user),
            ("X-Roles", joined_roles("X-Roles", principal)),
            ("X-Map-Roles", map_roles and _packed(json.dumps(map_roles, separators=(",", ":")))),
            ("X-Tenant-Id", self._tenants(principal, chosen)),
            ("X-Tenant-Name", principal.project_name),
            ("X-Project-Id", tenant),
            ("X-Project-Name", principal.project_name),
            ("X-Domain-Id", principal.domain_id or principal.user_domain_id),
            ("X-Default-Region", principal.default_region),
            ("X-Contact-Id", principal.contact_id),
            ("X-Impersonator-Id", principal.impersonator_id),
            ("X-Impersonator-Name", principal.impersonator_name),
            ("X-Impersonator-Roles", _list(principal.impersonator_roles, None)),
            ("X-Authenticated-By", _list(principal.authenticated_by, None)),
            (
                "X-Token-Expires",
                None if expires is None else http_date(min(expires, _LAST)).decode("ascii"),
            ),
            ("X-Catalog", catalog and _packed(catalog)),
        )
        return Fields([line_of(name, value) for name, value in values if value])

    def _tenants(self, principal: Principal, chosen: bool) -> str | None:
        """X-Tenant-Id: the tenant that the request names, or the default, or the first with roles; or all of them."""
        options = self._options
        tenant, default = principal.project_id, principal.default_project_id
        if default is None and not principal.assignments:
            default = tenant  # a token for one project
        quality = options.tenant_quality
        told: dict[str, float] = {}
        if tenant is not None and chosen:
            told[tenant] = quality.chosen if quality is not None else 0.0
        if default is not None and (options.all_tenants or not told or default in told):
            told[default] = max(told.get(default, 0.0), quality.default if quality is not None else 0.0)
        for _, held_in in principal.assignments:
            if held_in is not None and (options.all_tenants or not told):
                told.setdefault(held_in, quality.roles if quality is not None else 0.0)
        if quality is None and len(told) == 1:
            return next(iter(told))  # no list, and so as it is
        parts = [
            rated(name.translate(_ESCAPED), None if quality is None else rate) for name, rate in told.items()
        ]
        return ",".join(parts)


def _list(values: tuple[str, ...], quality: float | None) -> str:
    return ",".join(rated(value.translate(_ESCAPED), quality) for value in values)


def _roles_by_tenant(principal: Principal, chosen_only: bool) -> dict[str, list[str]]:
    tenant = principal.project_id
    if not principal.assignments:
        if principal.roles:
            return {EVERY_PROJECT if tenant is None else tenant: list(principal.roles)}
        return {} if tenant is None else {tenant: []}
    roles: dict[str, list[str]] = {}
    default = tenant if chosen_only else principal.default_project_id
    if default is not None:
        roles[default] = []
    for role, held_in in principal.assignments:
        if held_in is None or not chosen_only or held_in == tenant:
            roles.setdefault(EVERY_PROJECT if held_in is None else held_in, []).append(role)
    return roles


def _packed(text: str) -> str:
    return b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")
