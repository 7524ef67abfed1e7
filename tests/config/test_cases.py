"""One file for each case: a configuration, a ruler, then what it means or what is wrong with it, to the letter.

    listen: 127.0.0.1:80
    ---- environment
    NAME=value
    ---- file secret.txt
    its content
    ---- normal        | or: ---- errors
    listen[0]: "127.0.0.1:80"

A case whose name begins with `builtin_` is of the built-in filters; others have those of tests/config/sample.
`normal` lists what differs from the normal form of BASE. Run with WEIR_ACCEPT=1 to write what comes out into the
case, and read the difference before it is committed.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.config.load import ConfigurationError, loads, normal_form
from gateway.registry import Registry

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
BASE = 'upstreams: {a: {endpoints: ["http://a:1"]}}\nroutes: [{name: r, path: /, upstream: a}]\n'

_RULER = re.compile(r"^---- (environment|file (?P<file>\S+)|normal|errors)\n", re.MULTILINE)
_REGISTRY = Registry(package="tests.config.sample", entry_points=lambda: ())
_BUILT_IN = Registry(entry_points=lambda: ())


class Case(NamedTuple):
    text: str
    given: str
    environment: dict[str, str]
    files: dict[str, str]
    kind: str
    expected: str


def parse(content: str) -> Case:
    rulers = list(_RULER.finditer(content))
    assert rulers, "a case has a ruler"
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    for ruler, following in zip(rulers, [*rulers[1:], None], strict=True):
        section = content[ruler.end() : following.start() if following else None]
        if ruler["file"]:
            files[ruler["file"]] = section
        elif ruler[1] == "environment":
            environment = dict(line.split("=", 1) for line in section.splitlines())
    last = rulers[-1]
    assert last[1] in ("normal", "errors"), "a case ends in what is expected"
    return Case(
        content[: rulers[0].start()],
        content[: last.start()],
        environment,
        files,
        last[1],
        content[last.end() :],
    )


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from flat(item, f"{path}[{place}]")
    else:
        yield path, json.dumps(value)


def outcome(case: Case, directory: Path, registry: Registry) -> tuple[str, str]:
    for name, content in case.files.items():
        (directory / name).write_text(content)
    try:
        loaded = loads(
            case.text, "gateway.yaml", registry=registry, environment=case.environment, directory=directory
        )
    except ConfigurationError as error:
        return "errors", "".join(f"{problem}\n" for problem in error.problems)
    base = dict(flat(normal_form(loads(BASE, "base", registry=_REGISTRY, environment={}).configuration)))
    found = dict(flat(normal_form(loaded.configuration)))
    lines = [f"{path}: {value}\n" for path, value in found.items() if base.get(path) != value]
    lines += [f"- {path}\n" for path in base if path not in found]
    return "normal", "".join(lines)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_means_what_the_case_says(path: Path, tmp_path: Path) -> None:
    content = path.read_text()
    case = parse(content)
    registry = _BUILT_IN if path.stem.startswith("builtin_") else _REGISTRY
    kind, text = outcome(case, tmp_path, registry)
    if os.environ.get("WEIR_ACCEPT"):
        path.write_text(f"{case.given}---- {kind}\n{text}")
    else:
        assert f"---- {kind}\n{text}" == f"---- {case.kind}\n{case.expected}"


def test_there_are_cases() -> None:
    assert len(CASES) >= 40
