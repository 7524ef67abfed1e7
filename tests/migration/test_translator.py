"""The table of filters is whole."""

from pathlib import Path

import pytest

from gateway.config import repose as registry
from gateway.migration.translator import BUILT_IN, explained, ours, translator
from gateway.registry import Registry
from tests.config.test_repose import names
from tests.migration.installed import moved, part

NAMES = sorted(name for row in (*registry.FILTERS, *registry.OLDER) for name in names(row))
_OTHERS = [
    name
    for name in NAMES
    if (found := translator(name)) is not None
    and found.translate is None
    and name not in (*BUILT_IN, "destination-router")
]


@pytest.mark.parametrize("name", NAMES)
def test_every_filter_of_repose_is_known(name: str) -> None:
    found = translator(name)
    assert found is not None
    assert found.file == "" or found.file.endswith(".cfg.xml")


def test_what_has_an_equal_by_the_registry_of_names_is_translated() -> None:
    built_in = set(Registry(entry_points=lambda: ()).names())
    unmoved = {name for name in _OTHERS if {one.partition(".")[0] for one in ours(name)} & built_in}
    # They are said by something that Repose's configuration does not tell.
    assert unmoved == {
        *("client-authorization", "translation"),
        *("content-identity-auth-1.1", "content-identity-auth-2.0", "rackspace-auth-user"),
        *("content-normalization", "valkyrie-authorization", "versioning"),
    }


@pytest.mark.parametrize("name", _OTHERS)
def test_what_has_no_equal_says_why_whether_or_not_its_file_is_there(tmp_path: Path, name: str) -> None:
    told = part(moved(tmp_path, f'<filter name="{name}"/>'), name)
    assert told.outcome == "not moved"
    assert told.notes[0].text == explained(name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_built_in_is_moved(tmp_path: Path, name: str) -> None:
    assert part(moved(tmp_path, f'<filter name="{name}"/>'), name).outcome == "moved"


@pytest.mark.parametrize(
    "service", ["dist-datastore", "atom-feed-service", "health-check-service", "metrics"]
)
def test_services_are_explained(service: str) -> None:
    assert explained(service)


def test_nobody_knows_a_filter_of_others() -> None:
    assert translator("of-our-own") is None
    assert explained("of-our-own") == ""
