"""The compiling of the wheel, with the compiler and the build backend played by the test."""

import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


class _Hook:
    """As much of the backend's hook as ours uses."""

    target_name = "wheel"

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.config = {"requires": ["mypy"], "modules": ["gateway/*.py"]}

    def __class_getitem__(cls, item: Any) -> "type[_Hook]":
        return cls


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    interface: Any = types.ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = _Hook
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CompileHook(tmp_path)


def compiler(monkeypatch: pytest.MonkeyPatch, made: Path) -> list[str]:
    """A compiler that makes a library of each module it is told of, and leaves all others alone. Gives its levels."""
    levels: list[str] = []

    def run(command: list[str], *, cwd: Path, env: Any, check: bool) -> "subprocess.CompletedProcess[str]":
        levels.append(command[-1])
        for name in command[-2].split(","):
            library = (made / name).with_suffix(".so")
            library.parent.mkdir(parents=True, exist_ok=True)
            library.touch()
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    return levels


def built(hook: Any) -> set[str]:
    data: dict[str, Any] = {"force_include": {}}
    hook.initialize("standard", data)
    return set(data["force_include"].values())


def test_of_a_module_that_is_gone_nothing_comes_along(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIR_COMPILE", "1")
    compiler(monkeypatch, tmp_path / "build" / f"compiled-{sys.implementation.cache_tag}")
    (tmp_path / "gateway").mkdir()
    for name in ("stays", "goes"):
        (tmp_path / "gateway" / f"{name}.py").touch()
    assert built(hook) == {"gateway/stays.so", "gateway/goes.so"}
    (tmp_path / "gateway" / "goes.py").unlink()
    assert built(hook) == {"gateway/stays.so"}


def test_what_has_been_compiled_is_not_compiled_again(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEIR_COMPILE", "1")
    levels = compiler(monkeypatch, tmp_path / "build" / f"compiled-{sys.implementation.cache_tag}")
    (tmp_path / "gateway").mkdir()
    module = tmp_path / "gateway" / "module.py"
    module.write_text("a = 1")
    assert built(hook) == built(hook) == {"gateway/module.so"}
    assert levels == ["2"]
    module.write_text("a = 2")
    built(hook)
    monkeypatch.setenv("WEIR_COMPILE_LEVEL", "0")
    built(hook)
    assert levels == ["2", "2", "0"]


def test_nothing_is_compiled_unasked(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIR_COMPILE", raising=False)
    assert built(hook) == set()
    assert hook.dependencies() == []


def test_the_compiled_form_follows_the_list_of_what_is_compiled() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (needs,) = [line for line in makefile.splitlines() if line.startswith("$(COMPILED)/.made:")]
    assert {"pyproject.toml", "hatch_build.py"} <= set(needs.split())
