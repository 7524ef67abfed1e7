import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.install import Tools
from tests.bench.run import Options, RunError, needs, run
from tests.bench.subject import SUBJECTS
from tests.bench.workload import WORKLOADS

_NOTHING = Tools(None, None, None, None)
_ALL = Tools(Path("/nginx"), Path("/wrk"), Path("/taskset"), Path("/envoy"))
_OPTIONS = Options(
    workload=WORKLOADS["W1"],
    subjects=list(SUBJECTS.values()),
    seconds=1,
    rounds=1,
    connections=1,
    core=0,
    load_core=1,
)


def test_envoy_is_needed_only_where_it_is_measured() -> None:
    assert needs(_OPTIONS) == {"nginx", "wrk", "taskset", "envoy"}
    assert needs(replace(_OPTIONS, subjects=[SUBJECTS["weir"]])) == {"nginx", "wrk", "taskset"}


def test_says_what_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not installed: envoy, nginx, taskset, wrk"):
        run(_OPTIONS, _NOTHING, tmp_path, print)


@pytest.mark.parametrize("cores", [(0, 0), (0, 1_000_000)])
def test_wants_two_cores_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: tuple[int, int]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    core, load_core = cores
    with pytest.raises(RunError, match=r"two cores are needed, of \[0, 1\]"):
        run(replace(_OPTIONS, core=core, load_core=load_core), _ALL, tmp_path, print)
