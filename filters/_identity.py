"""The header fields that tell an upstream who is calling: what is stripped, in every spelling, and what is set."""

import re
from typing import Final

from gateway.api import Principal
from gateway.http.fields import Fields, RawField, encoded
from gateway.http.spelling import spellings

# keystonemiddleware's 31 names are these, with the X-Service-* twins of the first group.
_TWINNED = (
    "Identity-Status",
    "User-Id",
    "User-Name",
    "User-Domain-Id",
    "User-Domain-Name",
    "Project-Id",
    "Project-Name",
    "Project-Domain-Id",
    "Project-Domain-Name",
    "Domain-Id",
    "Domain-Name",
    "Roles",
)
_SINGLE = (
    "X-Is-Admin-Project",
    "X-Service-Catalog",
    "X-User",
    "X-Role",
    "X-Tenant-Id",
    "X-Tenant-Name",
    "X-Tenant",
    "OpenStack-System-Scope",  # keystonemiddleware sets it and forgets to strip it
)
# What Repose adds for its upstreams; an upstream that was behind Repose believes these.
_REPOSE = (
    "X-Authorization",
    "X-PP-User",
    "X-PP-Groups",
    "X-Catalog",
    "X-Token-Expires",
    "X-Default-Region",
    "X-Impersonator-Id",
    "X-Impersonator-Name",
    "X-Impersonator-Roles",
    "X-Map-Roles",
    "X-Relevant-Roles",
    "X-Authenticated-By",
    "X-Contact-Id",
    "X-Auth-Token-Key",
    "X-Delegated",
)

# The deprecated names have no twins in keystonemiddleware, but an upstream may read them as it does the others.
_SERVICE = tuple(
    f"X-Service-{name}" for name in (*_TWINNED, "User", "Role", "Tenant-Id", "Tenant-Name", "Tenant")
)

IDENTITY_NAMES: Final = (*(f"X-{name}" for name in _TWINNED), *_SINGLE, *_SERVICE, *_REPOSE)


STRIPPED: Final = frozenset(spelling for name in IDENTITY_NAMES for spelling in spellings(name))
"""Lower-case names, in every spelling, of the fields that only the gateway may set."""

STORAGE_HEADER: Final = "X-Storage-Token"
"""Another name of X-Auth-Token, which Keystone's middleware reads where that is not there."""

SERVICE_HEADER: Final = "X-Service-Token"
"""The field by which a service vouches for a request that it makes for somebody."""

INVALID: Final = Fields([(b"X-Identity-Status", b"Invalid")])
SERVICE_INVALID: Final = Fields([(b"X-Service-Identity-Status", b"Invalid")])


def identity_fields(principal: Principal, catalog: str | None = None) -> Fields:
    """The fields that tell the upstream of `principal`; unknown things are left out.

    Text travels as UTF-8. Raises ValueError, naming the field, for text that cannot travel.
    """
    admin = principal.is_admin_project
    values = (
        *_twinned("X-", principal),
        ("X-Is-Admin-Project", None if admin is None else str(admin)),
        ("OpenStack-System-Scope", principal.system_scope),
        ("X-Service-Catalog", catalog),
        # Deprecated since Keystone v3 and still read; X-Tenant is the name in code, whatever its page says.
        ("X-User", principal.user_name),
        ("X-Role", joined_roles("X-Role", principal)),
        ("X-Tenant-Id", principal.project_id),
        ("X-Tenant-Name", principal.project_name),
        ("X-Tenant", principal.project_name),
    )
    return Fields([line_of(name, value) for name, value in values if value])


def service_fields(principal: Principal) -> Fields:
    """The fields that tell the upstream of the service which vouches for a request. Raises as `identity_fields` does."""
    return Fields([line_of(name, value) for name, value in _twinned("X-Service-", principal) if value])


def _twinned(prefix: str, principal: Principal) -> tuple[tuple[str, str | None], ...]:
    values = (
        ("Identity-Status", "Confirmed"),
        ("User-Id", principal.user_id),
        ("User-Name", principal.user_name),
        ("User-Domain-Id", principal.user_domain_id),
        ("User-Domain-Name", principal.user_domain_name),
        ("Project-Id", principal.project_id),
        ("Project-Name", principal.project_name),
        ("Project-Domain-Id", principal.project_domain_id),
        ("Project-Domain-Name", principal.project_domain_name),
        ("Domain-Id", principal.domain_id),
        ("Domain-Name", principal.domain_name),
        ("Roles", joined_roles(f"{prefix}Roles", principal)),
    )
    return tuple((prefix + name, value) for name, value in values)


def joined_roles(name: str, principal: Principal) -> str:
    """Its roles in one value. Raises ValueError for a role with a comma, which would arrive as two."""
    roles = ",".join(principal.roles)
    if roles.count(",") > len(principal.roles) - 1 and principal.roles:
        raise ValueError(f"a comma in {name}: a role would become two")
    return roles


travels: Final = re.compile("[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*").fullmatch
"""Whether a header field can hold a text: no control character but the tab, and no half of a surrogate pair."""


def line_of(name: str, value: str) -> RawField:
    """One line, its text as UTF-8. Raises ValueError, naming the field, for text that cannot travel."""
    try:
        return encoded(name, value.encode("utf-8"))
    except ValueError:  # a control character, or half of a surrogate pair
        raise ValueError(f"a character that cannot travel in {name}") from None
