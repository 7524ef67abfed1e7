"""The table of filters: which file each has, who translates it, and why some have no equal here."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from gateway.migration import access, content, header, identity, limit, logging, uri, user
from gateway.migration.draft import Chain
from gateway.migration.source import Element

Translate = Callable[[Element, Chain], None]


class Translator(NamedTuple):
    """What becomes of a filter.

    file       of its configuration, where the chain names none; empty for a filter without one
    translate  makes entries of it; None for a filter that has no equal
    why        a filter has none
    """

    file: str
    translate: Translate | None
    why: str = ""


def _moved(file: str, translate: Translate) -> Translator:
    return Translator(f"{file}.cfg.xml" if file else "", translate)


def _left(file: str, why: str) -> Translator:
    return Translator(f"{file}.cfg.xml" if file else "", None, why)


_DEVICES: Final = (
    "it asks a service of Rackspace's own; `external_auth` asks any HTTP service whether a request may go on"
)
_SAML: Final = "policies of SAML are made where identities are"
_DESCRIPTION: Final = (
    "the description itself is read, not what Repose says of it: `weir routes import` makes routes of it, and the filter `api` "
    "validates requests by it"
)
_TESTS: Final = "it is for tests of Repose"

FILTERS: Final[Mapping[str, Translator]] = {
    "add-header": _moved("add-header", header.add_header),
    "api-validator": _left("validator", _DESCRIPTION),
    "attribute-mapping-policy-validation": _left("attribute-mapping-policy-validation", _SAML),
    "body-extractor-to-header": _moved("body-extractor-to-header", content.body_extractor),
    "body-patcher": _moved("body-patcher", content.body_patcher),
    "client-auth": _moved("client-auth-n", identity.client_auth),
    "client-authorization": _left(
        "openstack-authorization",
        "nobody is asked whether the service is in the caller's catalog; a table of roles (`rbac`) says who may come",
    ),
    "compression": _moved("compression", content.compression),
    "content-identity-auth-2.0": _left(
        "content-identity-auth-2-0",
        "`extract` takes the user's name from a body of JSON, and limits can go by `header:NAME`",
    ),
    "content-normalization": _left(
        "content-normalization",
        "header fields by `headers`, media types by suffixes of the path by `rewrite`",
    ),
    "content-type-stripper": _moved("", content.content_type_stripper),
    "cors": _moved("cors", content.cors),
    "default-router": _left("", "the last route is the default"),
    "derp": _moved("", content.derp),
    "destination-router": _left("destination-router", "routes"),
    "dist-datastore": _left(
        "dist-datastore", "limits count together in a Redis or Valkey (`rate_limit.store`)"
    ),
    "echo": _moved("", content.echo),
    "exception": _left("", _TESTS),
    "flush-output": _left("", "answers are passed on as they come"),
    "forwarded-proto": _left(
        "", "X-Forwarded-Proto is told by `forwarded`, which is on by default, and is true under TLS"
    ),
    "header-id-mapping": _moved("header-id-mapping", header.header_id_mapping),
    "header-identity": _moved("header-identity", user.header_user),
    "header-normalization": _moved("header-normalization", header.header_normalization),
    "header-translation": _moved("header-translation", header.header_translation),
    "header-user": _moved("header-user", user.header_user),
    "herp": _left(
        "highly-efficient-record-processor",
        "the request log has a record of each exchange, with user, roles and project: `weir logs` and `log.otlp` have it where it is wanted",
    ),
    "http-logging": _moved("http-logging", logging.http_logging),
    "ip-identity": _moved("ip-identity", user.ip_identity),
    "ip-user": _moved("ip-user", user.ip_user),
    "iri-validator": _left(
        "", "a target that is no URI, or could be read in two ways, is refused by every route (400)"
    ),
    "keystone-v2": _moved("keystone-v2", identity.keystone_v2),
    "keystone-v2-authorization": _moved("keystone-v2-authorization", identity.keystone_v2_authorization),
    "keystone-v2-basic-auth": _moved("keystone-v2-basic-auth", identity.basic_auth),
    "merge-header": _moved("merge-header", header.merge_header),
    "openapi-validator": _left("openapi-validator", _DESCRIPTION),
    "openstack-identity-v3": _moved("openstack-identity-v3", identity.identity_v3),
    "rackspace-auth-user": _left(
        "rackspace-auth-user",
        "`extract` takes the user's name from a body of JSON, and limits can go by `header:NAME`",
    ),
    "rackspace-identity-basic-auth": _moved("rackspace-identity-basic-auth", identity.basic_auth),
    "rate-limiting": _moved("rate-limiting", limit.rate_limiting),
    "regex-rbac": _moved("regex-rbac", access.regex_rbac),
    "saml-policy-translation": _left("saml-policy", _SAML),
    "scripting": _left(
        "scripting",
        "code is a filter of your own: one file of Python, under the entry-point group gateway.filters",
    ),
    "service-authentication": _moved("service-auth", header.service_authentication),
    "servlet-contract": _left("", _TESTS),
    "simple-rbac": _moved("simple-rbac", access.simple_rbac),
    "slf4j-http-logging": _moved("slf4j-http-logging", logging.http_logging),
    "split-header": _moved("split-header", header.split_header),
    "tenant-culling": _left("", "roles held in other tenants than that of the request are never forwarded"),
    "tightly-coupled": _left("", _TESTS),
    "translation": _left("translation", "stylesheets (XSLT); `json_patch` and `headers` change what is JSON"),
    "uri-identity": _moved("uri-identity", user.uri_user),
    "uri-normalization": _moved("uri-normalization", uri.uri_normalization),
    "uri-stripper": _moved("uri-stripper", uri.uri_stripper),
    "uri-user": _moved("uri-user", user.uri_user),
    "url-extractor-to-header": _moved("url-extractor-to-header", content.url_extractor),
    "valkyrie-authorization": _left("valkyrie-authorization", _DEVICES),
    "versioning": _left(
        "versioning",
        "the list of versions is the service's own to tell; requests for a version go by routes, whose paths stay as they are",
    ),
}

SERVICES: Final[Mapping[str, str]] = {
    "atom-feed-service.cfg.xml": "POST /tokens/revoke of the admin listener has tokens forgotten",
    "dist-datastore.cfg.xml": "limits count together in a Redis or Valkey (`rate_limit.store`)",
    "health-check-service.cfg.xml": "the admin listener has /readyz",
    "http-logging.cfg.xml": "the request log has a record of each exchange; `log.copies` writes lines in other forms",
    "metrics.cfg.xml": "the admin listener has /metrics",
    "open-tracing.cfg.xml": "`tracing` speaks W3C trace context, and sends spans by OTLP",
    "remote-datastore.cfg.xml": "limits count together in a Redis or Valkey (`rate_limit.store`)",
    "uri-redaction.cfg.xml": "`log.redact.params` and `log.redact.query` keep parts of targets out of records",
}
"""Configuration of services, and what does here what they did."""
