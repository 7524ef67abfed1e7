"""What Keystone says of a token (the body of GET /v3/auth/tokens), read strictly.

It is the identity service that speaks: what cannot be understood is its trouble, and never taken for a no.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from filters._identity import travels
from filters.token_auth.access_rule import AccessRules, read_rules
from gateway.api import Principal

MAX_CATALOG: Final = 32 << 10
"""Bytes of a catalog in a header field; servers refuse fields that are much longer."""

MAX_GROUPS: Final = 16 << 10
"""Characters of a user's groups, for the same reason."""


class Document(NamedTuple):
    """A token as Keystone knows it.

    catalog  in the form of v2, as JSON; None without one, or with one that no header field can hold
    rules    what its application credential may be used for; None where it has no access rules
    """

    principal: Principal
    catalog: str | None
    rules: AccessRules | None


def read_document(
    body: bytes, *, service_type: str | None, provider: str, prefixes: tuple[str, ...] = ()
) -> Document:
    """Reads an answer. Raises ValueError, which names what is wrong and shows no value."""
    try:
        token = json.loads(body)["token"]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError("not a token document") from None
    token = mapping_of(token, "token")
    user = mapping_of(token.get("user"), "user")
    user_domain = optional_mapping(user, "domain")
    project = optional_mapping(token, "project")
    project_domain = optional_mapping(project, "domain")
    domain = optional_mapping(token, "domain")
    system = optional_mapping(token, "system")
    principal = Principal(
        user_id=text_of(user, "id"),
        user_name=text_of(user, "name", None),
        user_domain_id=text_of(user_domain, "id", None),
        user_domain_name=text_of(user_domain, "name", None),
        project_id=text_of(project, "id", None),
        project_name=text_of(project, "name", None),
        project_domain_id=text_of(project_domain, "id", None),
        project_domain_name=text_of(project_domain, "name", None),
        domain_id=text_of(domain, "id", None),
        domain_name=text_of(domain, "name", None),
        system_scope="all" if system.get("all") is True else None,
        # Absent for a Keystone that names no admin project: then, as its libraries have it, every project is.
        is_admin_project=token.get("is_admin_project", True) is True,
        roles=tuple(text_of(mapping_of(role, "roles"), "name") for role in list_of(token, "roles")),
        expires_at=instant(token.get("expires_at")),
        provider=provider,
        audit_ids=tuple(_word(each) for each in list_of(token, "audit_ids")),
    )
    rules = read_rules(token.get("application_credential"), service_type, prefixes)
    return Document(principal, _catalog(list_of(token, "catalog")), rules)


def read_groups(body: bytes, told: str) -> tuple[str, ...]:
    """What is `told` of each group of a user: its id or its name. Raises ValueError, as `read_document` does."""
    try:
        document = mapping_of(json.loads(body), "document")
    except (ValueError, RecursionError):
        raise ValueError("not a list of groups") from None
    links = document.get("links")
    if (
        "groups" not in document
        or document.get("truncated")
        or (isinstance(links, dict) and links.get("next"))
    ):
        raise ValueError("not all groups")
    return bounded(tuple(text_of(mapping_of(group, "groups"), told) for group in list_of(document, "groups")))


def bounded(groups: tuple[str, ...]) -> tuple[str, ...]:
    """The groups, where a header field can hold them. Raises ValueError."""
    if sum(len(group) + 1 for group in groups) > MAX_GROUPS:
        raise ValueError(f"groups of more than {MAX_GROUPS} characters")
    if not all(map(travels, groups)):
        raise ValueError("a character that cannot travel in groups")
    return groups


def instant(value: Any) -> float:
    """Seconds since the epoch of a time with its zone, as Keystone writes it. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("expires_at")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise ValueError("expires_at") from None


def _catalog(services: list[Any]) -> str | None:
    """The catalog as v2 of the API has it, which is what services read in X-Service-Catalog."""
    if not services:
        return None
    told: list[dict[str, Any]] = []
    for service in services:
        service = mapping_of(service, "catalog")
        regions: dict[str | None, dict[str, Any]] = {}
        for endpoint in list_of(service, "endpoints"):
            endpoint = mapping_of(endpoint, "endpoints")
            region = text_of(endpoint, "region", None)
            urls = regions.setdefault(region, {"region": region})
            urls[text_of(endpoint, "interface").lower() + "URL"] = text_of(endpoint, "url")
        one: dict[str, Any] = {"type": text_of(service, "type"), "endpoints": list(regions.values())}
        name = text_of(service, "name", None)
        if name is not None:
            one["name"] = name
        told.append(one)
    text = json.dumps(told, separators=(",", ":"))
    return text if len(text) <= MAX_CATALOG else None


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("audit_ids")
    return value


_REQUIRED: Final[Any] = object()


def text_of(mapping: Mapping[str, Any], name: str, default: Any = _REQUIRED) -> Any:
    value = mapping.get(name)
    if value is None and default is not _REQUIRED:
        return default
    if not isinstance(value, str) or (default is _REQUIRED and not value):
        raise ValueError(name)
    return value


def mapping_of(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(name)
    return value


def optional_mapping(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = mapping.get(name)
    return {} if value is None else mapping_of(value, name)


def list_of(mapping: Mapping[str, Any], name: str) -> list[Any]:
    value = mapping.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(name)
    return value
