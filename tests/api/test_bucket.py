"""Which buckets a selection is of, and how full they are."""

import pytest

from gateway.api import Bucket, Selection


@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ({}, True),
        ({"project_id": "p1"}, True),
        ({"project_id": "p1", "method": "GET"}, True),
        ({"project_id": "p2"}, False),
        ({"user_id": "p1"}, False),
        ({"project_id": "p1", "user_id": "u1"}, False),
    ],
)
def test_a_selection_fits_what_has_all_its_parts(parts: dict[str, str], fits: bool) -> None:
    assert Selection(parts=parts).fits({"project_id": "p1", "method": "GET"}) is fits


def test_a_limit_alone_is_of_nobody_in_particular() -> None:
    assert not Selection(filter="f", limit="l").somebody
    assert Selection(key_hash="k").somebody
    assert Selection(parts={"route": "r"}).somebody


def test_use_is_the_part_that_is_taken() -> None:
    full = Bucket("l", ("limits", 0), {}, "k", "gcra", 10, "MINUTE", 10, 0, 6.0, 6.0)
    assert (full.use, full._replace(remaining=10).use) == (1.0, 0.0)
    assert full._replace(remaining=4).use == pytest.approx(0.6)
    # What lets nobody pass is always full.
    assert full._replace(capacity=0).use == 1.0
