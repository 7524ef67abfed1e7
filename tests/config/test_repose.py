"""What of Repose there is here, held against what really is."""

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config.document import read
from gateway.config.load import loads
from gateway.config.model import Configuration, EntryKeys
from gateway.config.reference import options_of
from gateway.config.repose import FILTERS, OLDER, SERVICES, Row, page
from gateway.plan import build_plan
from gateway.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "from-repose.md"
ROWS = (*FILTERS, *OLDER, *SERVICES)
_REGISTRY = Registry(entry_points=lambda: ())

# All that Repose 9.1 has, and what 6.2 had beside it.
REPOSE = {
    *("rate-limiting", "api-validator", "openapi-validator", "keystone-v2", "keystone-v2-authorization"),
    *("openstack-identity-v3", "keystone-v2-basic-auth", "simple-rbac", "regex-rbac", "header-normalization"),
    *(
        "header-translation",
        "add-header",
        "merge-header",
        "split-header",
        "ip-user",
        "header-user",
        "uri-user",
    ),
    *("url-extractor-to-header", "body-extractor-to-header", "body-patcher", "uri-normalization"),
    *("uri-stripper", "cors", "compression", "content-type-stripper", "iri-validator", "forwarded-proto"),
    *("slf4j-http-logging", "herp", "derp", "tenant-culling", "destination-router", "versioning"),
    *("translation", "scripting", "valkyrie-authorization", "echo", "exception", "servlet-contract"),
    *("tightly-coupled", "client-auth", "client-authorization", "ip-identity", "header-identity"),
    *("uri-identity", "header-id-mapping", "content-identity-auth-2.0", "content-identity-auth-1.1"),
    *("rackspace-auth-user", "rackspace-identity-basic-auth", "content-normalization"),
    *("service-authentication", "default-router", "flush-output", "saml-policy-translation"),
    *("attribute-mapping-policy-validation", "system-model", "container", "http-client", "datastores"),
    *("http-logging", "response-messaging", "health-check", "metrics", "open-tracing", "uri-redaction"),
    *("atom-feed-service", "phone-home", "logging"),
}


def names(row: Row) -> list[str]:
    return re.split(r", | / ", row.name)


def test_the_page_in_the_tree_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "stale: run `weir reference --repose > docs/from-repose.md`"


def test_every_filter_and_service_has_one_row() -> None:
    assert sorted(name for row in ROWS for name in names(row)) == sorted(REPOSE)


def _known() -> set[str]:
    """Every filter, every option of one, and every option of the gateway's own."""
    core = {*options_of(Configuration), *(f"filters[].{key}" for key in options_of(EntryKeys))}
    own = {f"{name}.{key}" for name in _REGISTRY.names() for key in options_of(_REGISTRY.get(name).Config)}
    return {*core, *_REGISTRY.names(), *own}


def test_all_that_is_named_is_there() -> None:
    known = _known()
    assert [(row.name, name) for row in ROWS for name in row.ours if name not in known] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_has_no_equal_says_why_and_what_has_one_says_what_is_another(row: Row) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", row.does)
    assert re.fullmatch(r"[A-Z0-9`].{8,}\.", row.differs)
    if row.example:
        assert row.ours


@pytest.mark.parametrize("row", [row for row in ROWS if row.example], ids=lambda row: row.name)
def test_every_example_can_be_put_in_force(row: Row) -> None:
    block: Any = read(row.example, row.name, {}).value
    path = "/v2/{project_id}/{rest*}"
    text = {
        "upstreams": {"a": {"endpoints": ["http://127.0.0.1:1"]}},
        "routes": [{"name": "r", "path": path, "upstream": "a", "filters": []}],
    }
    if isinstance(block, list):
        text["routes"][0]["filters"] = block  # type: ignore[index] # a list of mappings
        (entry,) = block
        (kind,) = entry
        assert any(name.partition(".")[0] == kind for name in row.ours), "the example shows what is named"
    else:
        text |= block
    import json

    build_plan(loads(json.dumps(text), "example.yaml", registry=_REGISTRY), _REGISTRY)
