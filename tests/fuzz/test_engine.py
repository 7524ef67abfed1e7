"""What fails is found, made short, and kept."""

from pathlib import Path

import pytest

from tests.fuzz import engine
from tests.fuzz.engine import (
    CASES,
    LONGEST,
    TARGETS,
    Finding,
    Target,
    keep,
    mutate,
    problem_of,
    shortest,
    target,
)


def check(data: bytes) -> None:
    """Holds unless a NUL follows the letter Z."""
    if b"\x00" in data.partition(b"Z")[2]:
        raise ValueError("a NUL behind a Z")


def test_what_escapes_is_told() -> None:
    assert problem_of(check, b"..Z") is None
    assert problem_of(check, b"..Z..\x00") == "ValueError: a NUL behind a Z"


def test_an_input_is_made_as_short_as_it_can_be() -> None:
    found = shortest(check, b"\x05\x06" + b"abc" * 40 + b"Z" + b"def" * 30 + b"\x00" + b"ghi" * 9)
    assert found == Finding(b"\x05\x06Z\x00", "ValueError: a NUL behind a Z")


def test_what_is_found_is_kept_where_the_tests_replay_it(tmp_path: Path) -> None:
    (tmp_path / "listener").mkdir()
    said = keep("listener", Finding(b"\x00\x00Z\x00", "a reason"), tmp_path)
    (path,) = (tmp_path / "listener").iterdir()
    assert path.read_bytes() == b"\x00\x00Z\x00"
    assert path.suffix == ".bin" and str(path) in said and "listener: a reason" in said


def test_mutations_find_what_is_not_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "cases", lambda name: [])
    made = Target("made", check, lambda: [b"\x00\x00abcZdef\r\n" * 3])
    count, finding = mutate(made, 7, 20.0)
    assert finding is not None and finding.data[2:] == b"Z\x00"
    again, same = mutate(made, 7, 20.0)
    assert (again, same) == (count, finding), "a seed gives the same inputs"


def test_mutations_end_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(engine, "cases", lambda name: [])
    count, finding = mutate(Target("made", seen.append, lambda: [b"\x00\x00abc"]), 1, 0.05)
    assert finding is None and len(seen) == count > 10
    assert len(set(seen)) > 5 and max(map(len, seen)) <= LONGEST + 2


@pytest.mark.parametrize("name", TARGETS)
def test_each_target_has_seeds_and_a_place_for_cases(name: str) -> None:
    assert (CASES / name).is_dir()
    made = target(name)
    assert len(made.seeds()) > 100
    assert made.seeds() == made.seeds()
