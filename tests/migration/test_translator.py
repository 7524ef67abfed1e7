"""The table of filters is whole."""

from pathlib import Path

import pytest

from gateway.migration.translator import FILTERS
from tests.migration.installed import moved, part

NINE = [
    "add-header",
    "api-validator",
    "attribute-mapping-policy-validation",
    "body-extractor-to-header",
    "body-patcher",
    "compression",
    "content-type-stripper",
    "cors",
    "derp",
    "destination-router",
    "echo",
    "forwarded-proto",
    "header-normalization",
    "header-translation",
    "header-user",
    "herp",
    "ip-user",
    "iri-validator",
    "keystone-v2",
    "keystone-v2-authorization",
    "keystone-v2-basic-auth",
    "merge-header",
    "openapi-validator",
    "openstack-identity-v3",
    "rackspace-auth-user",
    "rate-limiting",
    "regex-rbac",
    "saml-policy-translation",
    "scripting",
    "simple-rbac",
    "slf4j-http-logging",
    "split-header",
    "tenant-culling",
    "translation",
    "uri-normalization",
    "uri-stripper",
    "uri-user",
    "url-extractor-to-header",
    "valkyrie-authorization",
    "versioning",
]
SIX = [
    "client-auth",
    "client-authorization",
    "content-identity-auth-2.0",
    "content-normalization",
    "default-router",
    "dist-datastore",
    "flush-output",
    "header-id-mapping",
    "header-identity",
    "http-logging",
    "ip-identity",
    "rackspace-identity-basic-auth",
    "service-authentication",
    "uri-identity",
]


def test_every_filter_of_repose_6_and_9_has_a_row() -> None:
    assert not {*NINE, *SIX} - FILTERS.keys()


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_row_says_who_translates_it_or_why_nobody_does(name: str) -> None:
    row = FILTERS[name]
    assert (row.translate is None) == bool(row.why) or name == "destination-router"
    assert row.file == "" or row.file.endswith(".cfg.xml")


@pytest.mark.parametrize("name", [name for name, row in FILTERS.items() if row.translate is None])
def test_what_has_no_equal_is_told_whether_or_not_its_file_is_there(tmp_path: Path, name: str) -> None:
    told = part(moved(tmp_path, f'<filter name="{name}"/>'), name)
    assert told.outcome == "not moved"
    assert told.notes[0].text
