"""Where the configuration is found."""

from pathlib import Path

import pytest

from gateway.config import locate as module
from gateway.config.locate import bundled, locate


def test_what_is_given_is_taken_whether_it_exists_or_not() -> None:
    assert locate("nosuch/gateway.yaml") == Path("nosuch/gateway.yaml")


def test_looks_here_first_then_in_etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, etc = tmp_path / "here.yaml", tmp_path / "etc.yaml"
    monkeypatch.setattr(module, "PLACES", (here, etc))
    assert locate() == bundled()
    etc.touch()
    assert locate() == etc
    here.touch()
    assert locate() == here


def test_a_directory_is_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES", (tmp_path,))
    assert locate() == bundled()


def test_the_bundled_one_exists() -> None:
    assert bundled().is_file()


def test_an_installed_package_brings_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "gateway.yaml").touch()
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    assert bundled() == tmp_path / "bundled" / "gateway.yaml"
