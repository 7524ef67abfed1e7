"""An installation that a test writes down, and what becomes of requests under what it is moved to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.load import loads
from gateway.migration.report import Part
from gateway.migration.repose import Migration, migrate
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from gateway.trial.outcome import Outcome
from tests.trial.tried import given, tried

SYSTEM_MODEL = """\
<system-model xmlns="http://docs.openrepose.org/repose/system-model/v2.0">
  <nodes><node id="n" hostname="localhost" http-port="8080"/></nodes>
  <filters>{chain}</filters>
  <destinations><endpoint id="origin" protocol="http" hostname="origin.internal" port="80" default="true"/></destinations>
</system-model>
"""


KNOWN = '<filter name="keystone-v2"/>'
"""Says who is calling, before a filter that wants to know."""

KEYSTONE = '<keystone-v2><identity-service uri="https://identity.example.com"/></keystone-v2>'


def installed(directory: Path, chain: str, files: Mapping[str, str]) -> Path:
    """The directory with an installation whose chain is `chain`, and with `files`, which are named without `.cfg.xml`."""
    for name, text in {"system-model": SYSTEM_MODEL.format(chain=chain), **files}.items():
        (directory / (name if "." in name else f"{name}.cfg.xml")).write_text(text)
    return directory


def moved(directory: Path, chain: str, **files: str) -> Migration:
    """What an installation is moved to, which may be put in force. A name of a file has `_` for `-`."""
    named = {name.replace("_", "-"): text for name, text in files.items()}
    made = migrate(installed(directory, chain, named), environment={})
    plan(made)
    return made


def moved_filter(
    directory: Path, name: str, text: str, *, file: str = "", before: str = "", **files: str
) -> Migration:
    """The same for a chain of one filter, whose configuration is `text`, or of that and those `before`."""
    if before:
        files.setdefault("keystone-v2", KEYSTONE)
    return moved(directory, f'{before}<filter name="{name}"/>', **{file or name: text}, **files)


def plan(migration: Migration, environment: Mapping[str, str] | None = None) -> Plan:
    """What a start would build of it. Raises ConfigurationError where it may not be put in force."""
    registry = Registry()
    return build_plan(
        loads(migration.text, "moved.yaml", registry=registry, environment=environment or {}), registry
    )


def part(migration: Migration, name: str) -> Part:
    """What the report says of a part."""
    (found,) = [part for part in migration.report.parts if part.name == name]
    return found


def notes(migration: Migration, name: str) -> str:
    """All that is other than it was, or is not here, of a part."""
    return "\n".join(f"{note.place} {note.text}" for note in part(migration, name).notes)


async def outcome(migration: Migration, method: str = "GET", target: str = "/", **options: Any) -> Outcome:
    """What becomes of one request."""
    async with tried(migration.text) as trial:
        return await trial.run(given(method, target, **options))
