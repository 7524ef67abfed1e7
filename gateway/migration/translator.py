"""The table of filters: which file each has, and who translates it. What has no equal here is explained by the registry of names."""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from gateway.config import repose as registry
from gateway.migration import access, content, header, identity, limit, logging, uri, user, validation
from gateway.migration.draft import Chain
from gateway.migration.source import Element

Translate = Callable[[Element, Chain], None]


class Translator(NamedTuple):
    """What becomes of a filter.

    file       of its configuration, where the chain names none; empty for a filter without one
    translate  makes entries of it; None for a filter that has no equal
    """

    file: str
    translate: Translate | None


_OTHER_FILES: Final[Mapping[str, str]] = {
    "api-validator": "validator",
    "client-auth": "client-auth-n",
    "client-authorization": "openstack-authorization",
    "content-identity-auth-1.1": "content-identity-auth-1-1",
    "content-identity-auth-2.0": "content-identity-auth-2-0",
    "herp": "highly-efficient-record-processor",
    "saml-policy-translation": "saml-policy",
    "service-authentication": "service-auth",
}
"""Names of files that are not their filter's."""

_WITHOUT_FILE: Final = frozenset(
    (
        *("content-type-stripper", "default-router", "derp", "echo", "exception", "flush-output"),
        *("forwarded-proto", "iri-validator", "servlet-contract", "tenant-culling", "tightly-coupled"),
    )
)

CHECKS_NOTHING: Final = frozenset(
    (
        *("compression", "dist-datastore", "flush-output", "herp", "http-logging", "merge-header"),
        *("remote-datastore", "slf4j-http-logging", "split-header"),
    )
)
"""Filters for want of which nothing passes that would not have: they may be left out with a note. All others fail closed."""

ONLY_REFUSES: Final = CHECKS_NOTHING | frozenset(
    (
        *(
            "api-validator",
            "client-auth",
            "content-type-stripper",
            "derp",
            "header-normalization",
            "keystone-v2",
        ),
        *("keystone-v2-authorization", "openapi-validator", "openstack-identity-v3", "rate-limiting"),
        *("regex-rbac", "simple-rbac", "tenant-culling"),
    )
)
"""Filters that may see more requests than they did: none passes for it that would not have."""

BUILT_IN: Final = ("default-router", "forwarded-proto", "iri-validator")
"""Filters that every configuration has an equal of, without an entry."""

_TRANSLATED: Final[Mapping[str, Translate]] = {
    "add-header": header.add_header,
    "api-validator": validation.api_validator,
    "body-extractor-to-header": content.body_extractor,
    "body-patcher": content.body_patcher,
    "client-auth": identity.client_auth,
    "compression": content.compression,
    "content-type-stripper": content.content_type_stripper,
    "cors": content.cors,
    "derp": content.derp,
    "echo": content.echo,
    "header-id-mapping": header.header_id_mapping,
    "header-identity": user.header_user,
    "header-normalization": header.header_normalization,
    "header-translation": header.header_translation,
    "header-user": user.header_user,
    "http-logging": logging.http_logging,
    "ip-identity": user.ip_identity,
    "ip-user": user.ip_user,
    "keystone-v2": identity.keystone_v2,
    "keystone-v2-authorization": identity.keystone_v2_authorization,
    "keystone-v2-basic-auth": identity.basic_auth,
    "merge-header": header.merge_header,
    "openapi-validator": validation.openapi_validator,
    "openstack-identity-v3": identity.identity_v3,
    "rackspace-identity-basic-auth": identity.basic_auth,
    "rate-limiting": limit.rate_limiting,
    "regex-rbac": access.regex_rbac,
    "service-authentication": header.service_authentication,
    "simple-rbac": access.simple_rbac,
    "slf4j-http-logging": logging.http_logging,
    "split-header": header.split_header,
    "tenant-culling": identity.tenant_culling,
    "uri-identity": user.uri_user,
    "uri-normalization": uri.uri_normalization,
    "uri-stripper": uri.uri_stripper,
    "uri-user": user.uri_user,
    "url-extractor-to-header": content.url_extractor,
}

_APART: Final = re.compile(r", | / ")


def _rows(*tables: tuple[registry.Row, ...]) -> dict[str, registry.Row]:
    return {name: row for table in tables for row in table for name in _APART.split(row.name)}


_KNOWN: Final = _rows(registry.FILTERS, registry.OLDER, registry.SERVICES)
DATASTORES: Final = ("dist-datastore", "remote-datastore")


def translator(name: str) -> Translator | None:
    """What becomes of the filter of a name; None for one that nobody knows."""
    if name not in _KNOWN and name not in DATASTORES:
        return None
    file = "" if name in _WITHOUT_FILE else f"{_OTHER_FILES.get(name, name)}.cfg.xml"
    return Translator(file, _TRANSLATED.get(name))


def ours(name: str) -> tuple[str, ...]:
    """What does here what a filter did, by the registry of names."""
    return _KNOWN[name].ours


def explained(name: str) -> str:
    """What there is here in place of a filter or service, and why it cannot be moved; empty for one that nobody knows."""
    row = _KNOWN.get("datastores" if name in DATASTORES else name.removesuffix("-service"), _KNOWN.get(name))
    if row is None:
        return ""
    ours = f"{', '.join(f'`{one}`' for one in row.ours)}: " if row.ours else ""
    return f"{ours}{row.differs}"
