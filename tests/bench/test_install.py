from pathlib import Path

import pytest

from tests.bench.install import Tools, default_directory, find


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert find(tmp_path, search=str(tmp_path)) == Tools(None, None, None, None, None)


def test_envoy_of_its_own_environment_comes_first(tmp_path: Path) -> None:
    on_path = _program(tmp_path / "path" / "envoy")
    search = str(on_path.parent)
    assert find(tmp_path, search=search).envoy == on_path
    own = _program(tmp_path / "envoy" / "bin" / "envoy")
    assert find(tmp_path, search=search).envoy == own


def test_tells_what_is_missing_of_what_is_needed() -> None:
    tools = Tools(nginx=Path("/nginx"), wrk=None, taskset=None, envoy=None, redis=None)
    assert tools.missing({"wrk", "nginx", "envoy"}) == ["envoy", "wrk"]


def test_envoy_goes_to_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "weir-bench"
