"""The command feeds each target, and says what failed."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.__main__ import UNGUIDED, main
from tests.fuzz.engine import Finding


@pytest.mark.parametrize("fails", [False, True])
def test_without_atheris_inputs_are_mutated_and_that_is_said(
    fails: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[tuple[str, int, float]] = []

    def mutate(made: Any, seed: int, seconds: float) -> tuple[int, Finding | None]:
        asked.append((made.name, seed, seconds))
        return 7, Finding(b"\x00\x00a", "a reason") if fails and made.name == "upstream" else None

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "mutate", mutate)
    monkeypatch.setattr(command, "keep", lambda name, finding: f"{name}: {finding.problem}")
    assert main(["--minutes", "0.5", "--seed", "3", "--corpus", str(tmp_path)]) == fails
    assert asked == [("listener", 3, 30), ("upstream", 3, 30)]
    said = capsys.readouterr().out
    assert UNGUIDED in said
    assert "listener: seed 3, 7 inputs, nothing found" in said
    assert ("upstream: a reason" in said) is fails


def test_one_target_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["--minutes", "0.01", "--seed", "3", "upstream"]) == 0
    assert "upstream: seed 3, " in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_with_atheris_a_target_runs_in_a_process_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--minutes", "0.02", "--seed", "3", "--corpus", str(tmp_path), "upstream"]) == 0
    said = capsys.readouterr().out
    assert "inputs, nothing found" in said and UNGUIDED not in said
    assert len(list((tmp_path / "upstream").iterdir())) > 100
