import os
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from unittest.mock import Mock

import pytest

from tests.bench import latency, memory
from tests.bench import run as bench
from tests.bench.install import Tools
from tests.bench.memory import MemorySample
from tests.bench.run import STUDIES, Options, RunError, needs, run
from tests.bench.sample import ATTEMPTS, Sample
from tests.bench.server import StartError
from tests.bench.test_sample import GOOD

_NOTHING = Tools(None, None, None, None, None)
_ALL = Tools(Path("/nginx"), Path("/wrk"), Path("/taskset"), Path("/envoy"), Path("/redis"))
_OPTIONS = Options(
    studies=["W1"],
    subjects=None,
    seconds=1,
    rounds=1,
    connections=1,
    core=0,
    load_core=1,
)


def test_envoy_is_needed_only_where_it_is_measured() -> None:
    assert needs(_OPTIONS) == {"nginx", "wrk", "taskset", "envoy"}
    assert needs(replace(_OPTIONS, subjects=["weir"])) == {"nginx", "wrk", "taskset"}


def test_a_study_has_subjects_of_its_own() -> None:
    options = replace(_OPTIONS, studies=STUDIES)
    beside = STUDIES.index("limits") + 1
    assert options.planned() == [*STUDIES[:beside], "decisions", *STUDIES[beside:]]
    assert [subject.name for subject in options.chosen("W4-up")] == ["nginx", "envoy", "weir"]
    assert [subject.name for subject in options.chosen("filters")] == ["weir", "weir+1", "weir+8", "weir+30"]
    assert [subject.name for subject in options.chosen("memory")] == ["nginx", "envoy", "weir"]
    assert [len(options.chosen(study)) for study in ("W1", "W3", "latency")] == [9, 7, 7]
    assert not {"nginx", "envoy", "weir"} & {subject.name for subject in options.chosen("W1v")}


def test_limits_are_measured_over_the_wire_and_alone() -> None:
    options = replace(_OPTIONS, studies=["limits"])
    assert options.planned() == ["limits", "decisions"]
    assert needs(options) == {"nginx", "wrk", "taskset", "envoy", "redis"}
    assert replace(options, subjects=["envoy", "envoy+limits"]).planned() == ["limits"]


def test_studies_without_any_of_the_subjects_are_left_out(tmp_path: Path) -> None:
    options = replace(_OPTIONS, studies=STUDIES, subjects=["weir+policy"])
    assert options.planned() == ["W1", "W1v", "W2", "W3", "latency"]
    with pytest.raises(RunError, match="W4-up, memory: none of these subjects is measured there"):
        run(replace(options, studies=["W4-up", "memory"]), _ALL, tmp_path, print)


def test_says_what_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not installed: envoy, nginx, taskset, wrk"):
        run(_OPTIONS, _NOTHING, tmp_path, print)


def _broken(*arguments: object, **options: object) -> NoReturn:
    raise StartError("it does not listen")


def test_a_study_that_breaks_off_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = MemorySample("weir", "stalled client", before=0, after=1, amount=1)
    monkeypatch.setattr(latency, "measure", _broken)
    monkeypatch.setattr(memory, "measure", lambda *arguments, **options: [sample])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    session = run(replace(_OPTIONS, studies=["latency", "memory"]), _ALL, tmp_path, print)
    assert session.memories == [sample]
    assert session.problems() == ["latency: it does not listen"]
    assert not session.passed()


def test_a_run_of_one_study_that_breaks_off_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "measure", _broken)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    with pytest.raises(StartError, match="it does not listen"):
        run(replace(_OPTIONS, studies=["latency"]), _ALL, tmp_path, print)


def test_a_measurement_is_made_again_while_others_are_in_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.5, 0.2, 0.05, 0.0])
    monkeypatch.setattr(bench, "take", lambda *_, **__: replace(GOOD, foreign=next(shares)))
    contestant = Mock(answered=0)
    assert bench.undisturbed(contestant, number=0, seconds=1).foreign == 0.05
    assert contestant.answered == 3 * GOOD.requests, "its log has the lines of all of them"


def test_a_machine_that_is_never_quiet_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Sample] = []

    def take(*_: object, **__: object) -> Sample:
        taken.append(replace(GOOD, steal=0.3))
        return taken[-1]

    monkeypatch.setattr(bench, "take", take)
    assert bench.undisturbed(Mock(answered=0), number=0, seconds=1).disturbed
    assert len(taken) == ATTEMPTS


@pytest.mark.parametrize("cores", [(0, 0), (0, 1_000_000)])
def test_wants_two_cores_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: tuple[int, int]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    core, load_core = cores
    with pytest.raises(RunError, match=r"two cores are needed, of \[0, 1\]"):
        run(replace(_OPTIONS, core=core, load_core=load_core), _ALL, tmp_path, print)
