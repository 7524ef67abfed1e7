"""From a filter's name to its class."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gateway.api import Filter
from gateway.registry import GROUP, Registry, RegistryError, UnknownFilter

GOOD = """
from gateway.api import Filter, Options

class Base(Filter[Options]):
    name = "base"
    Config = Options

class Mine(Base):
    name = {name!r}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package `strange` that a test fills with modules."""
    directory = tmp_path / "strange"
    directory.mkdir()
    (directory / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield directory
    for name in [name for name in sys.modules if name.split(".")[0] == "strange"]:
        del sys.modules[name]


def registry(*plugins: tuple[str, str]) -> Registry:
    def entry_points() -> Iterable[EntryPoint]:
        return [EntryPoint(name, value, GROUP) for name, value in plugins]

    return Registry(package="strange", entry_points=entry_points)


def test_finds_the_class_that_carries_the_name_of_its_file(package: Path) -> None:
    (package / "mine.py").write_text(GOOD.format(name="mine"))
    (package / "other").mkdir()
    (package / "other" / "__init__.py").write_text(GOOD.format(name="other"))
    (package / "_shared.py").touch()
    found = registry()
    assert found.names() == ["mine", "other"]
    assert found.get("mine").__name__ == "Mine"
    assert found.get("other").name == "other"
    assert found.module("other").__name__ == "strange.other"
    with pytest.raises(UnknownFilter):
        found.get("_shared")


def test_imports_a_filter_when_it_is_used_and_not_before(package: Path) -> None:
    (package / "mine.py").write_text(GOOD.format(name="mine"))
    (package / "unused.py").write_text("raise SystemError")
    found = registry()
    assert found.names() == ["mine", "unused"]
    assert found.get("mine") is found.get("mine")
    assert "strange.unused" not in sys.modules


def test_an_unknown_name_is_told_with_the_nearest_one(package: Path) -> None:
    (package / "methods.py").touch()
    with pytest.raises(UnknownFilter, match=r"^there is no filter 'method' \(did you mean 'methods'\?\)$"):
        registry().get("method")
    with pytest.raises(UnknownFilter, match=r"^there is no filter '\.\./x'$"):
        registry().get("../x")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import nosuch",
            "the filter 'mine' cannot be imported: ModuleNotFoundError: No module named 'nosuch'",
        ),
        ("x = (", "the filter 'mine' cannot be imported: SyntaxError: '\\(' was never closed"),
        ("", "must have one Filter subclass named so in its module, it has 0"),
        (GOOD.format(name="another"), "must have one Filter subclass named so in its module, it has 0"),
        (GOOD.format(name="mine") + "\nclass Second(Base):\n    name = 'mine'\n", "it has 2"),
        (
            "from gateway.api import Filter\nclass M(Filter):\n    name = 'mine'\n",
            "has no Config that is a pydantic model",
        ),
        (
            "from gateway.api import Filter\nclass M(Filter):\n    name = 'mine'\n    Config = dict\n",
            "has no Config that is a pydantic model",
        ),
        (
            GOOD.format(name="mine") + "    class Config(Options):\n        mode: str\n",
            "the filter 'mine' has an option 'mode', which every entry has already",
        ),
    ],
)
def test_a_filter_that_cannot_be_used_is_told_in_a_sentence(package: Path, source: str, message: str) -> None:
    (package / "mine.py").write_text(source)
    with pytest.raises(RegistryError, match=message) as caught:
        registry().get("mine")
    assert "\n" not in str(caught.value)


def test_a_plugin_has_a_dot_in_its_name(package: Path) -> None:
    (package.parent / "strange" / "_plugin.py").write_text(GOOD.format(name="acme.limit"))
    found = registry(("acme.limit", "strange._plugin:Mine"), ("limit", "strange._plugin:Mine"))
    assert found.get("acme.limit").name == "acme.limit"
    with pytest.raises(RegistryError, match=r"the plugin 'limit' must be named 'vendor\.name'"):
        found.get("limit")


def test_a_plugin_never_shadows_a_built_in_filter(package: Path) -> None:
    (package / "mine.py").write_text(GOOD.format(name="mine"))
    (package / "_plugin.py").write_text(GOOD.format(name="mine"))
    found = registry(("mine", "strange._plugin:Mine"))
    assert found.get("mine").__module__ == "strange.mine"
    assert found.names() == ["mine"]


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ([("a.b", "strange.nosuch:X")], "the filter 'a.b' cannot be imported: ModuleNotFoundError"),
        ([("a.b", "strange:nosuch")], "the filter 'a.b' cannot be imported: AttributeError"),
        ([("a.b", "pathlib:Path")], "the filter 'a.b' is not a subclass of gateway.api.Filter"),
        ([("a.b", "gateway.api:Filter")], "the filter 'a.b' calls itself None"),
        ([("a.b", "x:X"), ("a.b", "y:Y")], "the plugin 'a.b' is installed more than once: x:X, y:Y"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_told_in_a_sentence(
    package: Path, plugins: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(RegistryError, match=message):
        registry(*plugins).get("a.b")


def test_every_built_in_filter_can_be_used_and_is_documented() -> None:
    built_in = Registry(entry_points=lambda: ())
    assert {"token_auth", "rate_limit", "methods", "body_size", "uuid"} <= set(built_in.names())
    for name in built_in.names():
        filter_class = built_in.get(name)
        assert issubclass(filter_class, Filter)
        assert filter_class.name == name
        assert built_in.module(name).__doc__
        for option, field in filter_class.Config.model_fields.items():
            assert field.description, f"{name}.{option} has no description"


def test_no_built_in_filter_brings_aiohttp() -> None:
    script = (
        "import sys\nfrom gateway.registry import Registry\nregistry = Registry(entry_points=lambda: ())\n"
        "[registry.get(name) for name in registry.names()]\nassert 'aiohttp' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
