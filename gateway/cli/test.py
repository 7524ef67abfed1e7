"""`weir test`: requests with their circumstances, and what the configuration is to make of them."""

import asyncio
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import click

from gateway import application_log
from gateway.cli.setting import tell
from gateway.config.load import load, load_as
from gateway.config.locate import locate
from gateway.config.problem import ConfigurationError
from gateway.console import printable
from gateway.registry import Registry
from gateway.trial.case import Suite
from gateway.trial.coverage import Coverage
from gateway.trial.suite import Result, run
from gateway.trial.trial import Trial

_KINDS = ("route", "filter", "limit", "condition")


class _Run(NamedTuple):
    """The tests of one file, for the configuration at `path`."""

    file: Path
    path: Path
    results: Sequence[Result]


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--config", help="The configuration to test, in place of the one that the files name.")
@click.option("-k", "words", default="", help="Only the tests whose names have this in them.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "tap", "junit", "json"]),
    default="text",
    show_default=True,
)
@click.option("--coverage/--no-coverage", default=True, help="Whether to say what no test has come to.")
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    default=0,
    help="Fail where tests come to a smaller share of the configuration, in percent.",
)
def command(
    files: tuple[Path, ...], config: str | None, words: str, form: str, coverage: bool, fail_under: float
) -> None:
    """Run the tests of a configuration in each FILE: without a port, without a network.

    The exit status is 0 when all pass, 1 when one does not, 2 when a file or its configuration is wrong.
    """
    runs: list[_Run] = []
    covered: dict[Path, Coverage] = {}
    try:
        for file in files:
            suite = load_as(file, Suite)
            if words:
                suite = suite.model_copy(
                    update={"tests": tuple(test for test in suite.tests if words in test.name)}
                )
            path = Path(config) if config is not None else _named(suite, file)
            results = asyncio.run(_run(suite, path, covered))
            runs.append(_Run(file, path, results))
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(2) from None
    results = [result for one in runs for result in one.results]
    if not results:
        raise click.UsageError("There is no such test.")
    # Some of the tests say nothing of what all of them come to.
    {"text": _text, "tap": _tap, "junit": _junit, "json": _json}[form](
        runs, covered if coverage and not words else {}
    )
    share = _share(covered.values())
    if share < fail_under:
        click.echo(f"{share:.0f} % of the configuration is tested, less than {fail_under:g} %.", err=True)
        raise SystemExit(1)
    if not all(result.passed for result in results):
        raise SystemExit(1)


def _named(suite: Suite, file: Path) -> Path:
    """The configuration that a file of tests is for."""
    if suite.configuration is None:
        return locate()
    return Path(os.path.normpath(file.parent / suite.configuration))


async def _run(suite: Suite, path: Path, covered: dict[Path, Coverage]) -> list[Result]:
    registry = Registry()
    application_log.configure(logging.ERROR)
    trial = Trial(load(path, registry=registry), registry)
    if path not in covered:
        covered[path] = Coverage(trial.plan)
    try:
        return await run(suite, trial, covered[path])
    finally:
        await trial.close()


def _text(runs: Sequence[_Run], covered: Mapping[Path, Coverage]) -> None:
    for file, _, results in runs:
        for result in results:
            if result.passed:
                continue
            click.secho(f"FAILED {file}: {printable(_name(result))}", fg="red")
            for line in _why(result):
                click.echo(f"    {line}")
    for line in _of_coverage(covered):
        click.echo(line)
    results = [result for one in runs for result in one.results]
    failed = sum(not result.passed for result in results)
    milliseconds = sum(result.seconds for result in results) * 1000
    click.echo(f"{len(results) - failed} passed, {failed} failed in {milliseconds:.0f} ms")


def _name(result: Result) -> str:
    return f"{result.test.name}, step {result.step}" if result.step else result.test.name


def _why(result: Result) -> list[str]:
    """What is wrong, line by line."""
    if result.error:
        return [printable(result.error)]
    lines = []
    for what, expected, got in result.mismatches:
        lines += [printable(f"{what}:"), printable(f"  - {expected}"), printable(f"  + {got}")]
    outcome = result.outcome
    if outcome is not None:
        parts = [outcome.decision, outcome.reason, outcome.filter or ""]
        parts.append(str(outcome.record.get("gateway.source", "")))
        lines.append(printable(f"decided: {'  '.join(filter(None, parts))}"))
    return lines


def _of_coverage(covered: Mapping[Path, Coverage]) -> Iterator[str]:
    """What tests come to, line by line."""
    for path, coverage in covered.items():
        counts = coverage.counts()
        told = ", ".join(
            f"{counts[kind][0]} of {counts[kind][1]} {kind}s" for kind in _KINDS if kind in counts
        )
        yield printable(f"{path}: tests come to {told}")
        for part in coverage.missed():
            yield printable(f"    not to the {part.kind} {part.name}  {part.source}")


def _share(covered: Iterable[Coverage]) -> float:
    """How much of the configurations is come to, in percent."""
    reached = total = 0
    for coverage in covered:
        for some, every in coverage.counts().values():
            reached += some
            total += every
    return 100 * reached / total if total else 100.0


def _tap(runs: Sequence[_Run], covered: Mapping[Path, Coverage]) -> None:
    """Test Anything Protocol, version 13."""
    results = [(file, result) for file, _, results in runs for result in results]
    click.echo("TAP version 13")
    click.echo(f"1..{len(results)}")
    for number, (file, result) in enumerate(results, 1):
        name = printable(f"{file}: {result.test.name}").replace("#", "\\#")
        click.echo(f"{'ok' if result.passed else 'not ok'} {number} - {name}")
        for line in () if result.passed else _why(result):
            click.echo(f"# {line}")
    for line in _of_coverage(covered):
        click.echo(f"# {line}")


def _junit(runs: Sequence[_Run], covered: Mapping[Path, Coverage]) -> None:
    """What several files come to of one configuration stands with the last of them."""
    suites = ET.Element("testsuites")
    last = {run.path: run for run in runs}
    for one in runs:
        file, path, results = one
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=str(file),
            tests=str(len(results)),
            failures=str(sum(bool(result.mismatches) for result in results)),
            errors=str(sum(bool(result.error) for result in results)),
            time=f"{sum(result.seconds for result in results):.6f}",
        )
        if path in covered and one is last[path]:
            coverage = covered[path]
            told = [("configuration", str(path))]
            told += [
                (f"coverage.{kind}", f"{some} of {every}")
                for kind, (some, every) in coverage.counts().items()
            ]
            told += [(f"uncovered.{part.kind}", f"{part.name}  {part.source}") for part in coverage.missed()]
            properties = ET.SubElement(suite, "properties")
            for name, value in told:
                ET.SubElement(properties, "property", name=name, value=printable(value))
        for result in results:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=str(file),
                name=printable(result.test.name),
                time=f"{result.seconds:.6f}",
            )
            if not result.passed:
                kind = "error" if result.error else "failure"
                why = _why(result)
                ET.SubElement(case, kind, message=why[0]).text = "\n".join(why)
    click.echo(ET.tostring(suites, encoding="unicode", xml_declaration=True))


def _json(runs: Sequence[_Run], covered: Mapping[Path, Coverage]) -> None:
    tests = [
        {
            "file": str(file),
            "name": result.test.name,
            "passed": result.passed,
            "step": result.step or None,
            "error": result.error or None,
            "mismatches": [mismatch._asdict() for mismatch in result.mismatches],
            "milliseconds": round(result.seconds * 1000, 3),
        }
        for file, _, results in runs
        for result in results
    ]
    coverages = [
        {
            "configuration": str(path),
            "counts": {
                kind: {"reached": some, "total": every} for kind, (some, every) in coverage.counts().items()
            },
            "missed": [part._asdict() for part in coverage.missed()],
        }
        for path, coverage in covered.items()
    ]
    click.echo(json.dumps({"tests": tests, "coverage": coverages or None}, indent=2))
