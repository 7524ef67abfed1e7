"""What a target has failed on once holds from then on."""

from pathlib import Path

import pytest

from tests.fuzz.engine import TARGETS, cases, target

CASES = [pytest.param(name, path, id=f"{name} {path.stem}") for name in TARGETS for path in cases(name)]


@pytest.mark.parametrize(("name", "path"), CASES)
def test_a_case_that_failed_once(name: str, path: Path) -> None:
    target(name).check(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_hold(name: str) -> None:
    made = target(name)
    for data in made.seeds()[::7]:
        made.check(data)
