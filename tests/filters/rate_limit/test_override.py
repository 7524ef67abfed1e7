"""Terms of single projects from a file."""

from pathlib import Path
from typing import Any

import pytest

from filters.rate_limit.option import LimitOptions
from filters.rate_limit.override import read_overrides
from gateway.api import OptionError
from gateway.api.testing import FrozenServices

LIMITS = tuple(
    LimitOptions.model_validate(options)
    for options in (
        {"name": "writes", "rate": "10/minute", "burst": 5, "cost": 2},
        {"name": "reads", "rate": "100/minute"},
        {"rate": "1000/day", "algorithm": "calendar_window"},
    )
)


def read(directory: Path, text: str, name: str = "limits.yaml") -> list[dict[str, Any]]:
    """Of each limit, by project: the numbers of its algorithm."""
    (directory / name).write_text(text)
    found = read_overrides(name, LIMITS, FrozenServices(directory=directory))
    return [
        {
            project: terms and terms.algorithm and terms.algorithm.spec[1][:2]
            for project, terms in of_limit.items()
        }
        for of_limit in found
    ]


def test_a_rate_stands_for_a_rate_and_what_is_not_said_stays(tmp_path: Path) -> None:
    text = (
        "p1:\n  writes: 60/minute\n  reads: { rate: 6/minute, burst: 3 }\n0123: { writes: { burst: 50 } }\n"
    )
    assert read(tmp_path, text) == [
        {"p1": (1.0, 5.0), "0123": (6.0, 300.0)},
        {"p1": (10.0, 30.0)},
        {},
    ]


def test_two_words_stand_for_all_and_for_nothing(tmp_path: Path) -> None:
    text = "p1: unlimited\np2: { reads: blocked, writes: unlimited }\np3: blocked\n"
    writes, reads, days = read(tmp_path, text)
    assert writes == {"p1": None, "p2": None, "p3": (60.0,)}
    assert reads == {"p1": None, "p2": (60.0,), "p3": (60.0,)}
    assert days == {"p1": None, "p3": (86400.0,)}


def test_json_is_read_too(tmp_path: Path) -> None:
    assert read(tmp_path, '{"p1": {"reads": {"rate": {"value": 2, "unit": "minute"}}}}', "limits.json")[
        1
    ] == {"p1": (30.0, 60.0)}


@pytest.mark.parametrize("text", ["", "# nobody yet\n"])
def test_an_empty_file_overrides_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [{}, {}, {}]


def test_terms_know_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("p1:\n  reads: 5/minute\np2: blocked\n")
    reads = read_overrides("a.yaml", LIMITS, FrozenServices(directory=tmp_path))[1]
    assert {project: terms and terms.source for project, terms in reads.items()} == {
        "p1": "a.yaml:2:3",
        "p2": "a.yaml:3:1",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- p1", "limits.yaml:1:1: expected a mapping of projects, got a list"),
        ("p1: 5/minute", "limits.yaml:1:1: expected a mapping of limits, unlimited or blocked"),
        ("p1:\n  write: 5/minute", "limits.yaml:2:3: no limit is named 'write' (did you mean 'writes'?)"),
        ("p1:\n  reads: fast", "limits.yaml:2:3: expected a rate such as 10/minute"),
        ("p1:\n  reads: { rat: 5/minute }", "limits.yaml:2:12: unknown key 'rat' (did you mean 'rate'?)"),
        ("p1:\n  reads: {}", "limits.yaml:2:3: expected rate or burst"),
        ("p1:\n  reads: { burst: 0 }", "limits.yaml:2:12: must be at least 1"),
        ("p1:\n  reads: { burst: many }", "limits.yaml:2:12: expected a whole number"),
        ("p1:\n  writes: { burst: 1 }", "a request that costs 2 can never pass"),
        ("p1:\n  reads: 5/month", "limits.yaml:2:3: months differ in length"),
        ("p1:\n  reads: [a]", "limits.yaml:2:3: "),
        ("p1: { reads: 1/second }\np1: unlimited", "limits.yaml:1:1: a key stands twice"),
        ("'': unlimited", "limits.yaml:1:1: expected the id of a project"),
        ("p1: [", "limits.yaml:"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, text)
    assert caught.value.rule == ("overrides", "file")
    assert words in str(caught.value)


def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, "p1: { reads: fast }\np2: 5\np3: { write: blocked }\n")
    assert len(caught.value.messages) == 3


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read none\.yaml: No such file"):
        read_overrides("none.yaml", LIMITS, FrozenServices(directory=tmp_path))
