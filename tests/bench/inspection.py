"""How long a question about millions of records takes: by `weir logs`, and by the tools that operators have at hand.

    python -m tests.bench.inspection --report docs/inspection.md

A log is written, its closed files get their sidecars and are compressed, all by the gateway's own code. Weir is asked about
all of it. The others are asked about one file as it was written, and their figures are multiplied.
"""

import importlib.metadata
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

import click

from gateway import __version__, form
from gateway.inspect import compression, sidecar
from gateway.inspect.reader import MissingExtra, files
from tests.bench import inspection_page, logfile
from tests.bench.machine import machine
from tests.bench.question import (
    LINES,
    TOOLS,
    WEIR,
    AnswerError,
    Asked,
    Question,
    Study,
    forgotten,
)

CLOSED: Final = 16
"""Files that have been rotated."""
_OPEN: Final = 250
"""The open file has one in so many of the records: it is read as it is."""

QUESTIONS: Final = (
    Question("all", "records by reason"),
    Question("some", "the same, of what one project was refused or failed", logfile.project(7)),
)


T = TypeVar("T")


def prepare(path: Path, records: int, tell: Callable[[str], None]) -> None:
    """Writes the log at `path`, beside which there is nothing yet; the files beside each other, on all cores."""
    opened = records // _OPEN
    each = (records - opened) // CLOSED
    firsts = [*range(0, each * CLOSED, each), each * CLOSED]
    sizes = [*[each] * CLOSED, records - each * CLOSED]
    names = [*(path.with_name(f"{path.name}.{CLOSED - place}") for place in range(CLOSED)), path]
    # Not forked: the parent may have threads.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as pool:
        for number, _ in enumerate(pool.map(logfile.write, names, firsts, sizes), 1):
            tell(f"{number} of {len(names)} files written")


def close(study: Study, path: Path, part: Path, tell: Callable[[str], None]) -> None:
    """Does with the closed files what the gateway does; the oldest stays at `part` as it was."""
    rotated = files(path)[1:][::-1]
    os.link(rotated[0], part)
    study.plain = sum(file.stat().st_size for file in files(path))
    for file in rotated:
        made, took = _timed(lambda file=file: sidecar.make(path, file))  # type: ignore[misc]
        study.made.append(took)
        study.sidecars += made.stat().st_size
        tell(f"{file.name}: its sidecar took {took[0]:.1f} s, {took[1]:.1f} s of CPU")
    for file in rotated:
        _, took = _timed(lambda file=file: compression.compress(path, file, "zstd"))  # type: ignore[misc]
        study.compressed.append(took)
        tell(f"{file.name}: compressed in {took[0]:.1f} s")
    study.packed = sum(file.stat().st_size for file in files(path))


def ask(study: Study, path: Path, part: Path, tools: Sequence[str], tell: Callable[[str], None]) -> None:
    """Asks all questions of all tools, in turn, and sees that they say the same. Raises AnswerError."""
    study.part = _lines(part)
    study.closed = study.records - _lines(path)
    whole = [*files(path), *sidecar.directory(path).iterdir()]
    for question in QUESTIONS:
        asked = [Asked(tool, question, study.records if TOOLS[tool].whole else study.part) for tool in tools]
        told: dict[str, Mapping[str, int]] = {}
        for number in range(study.rounds + 1):
            for each in asked:
                log = path if TOOLS[each.tool].whole else part
                if not number:
                    forgotten(whole if TOOLS[each.tool].whole else [part])
                told[each.tool] = each.ask(log)
                tell(f"{question.title}: {each.tool} {each.seconds[-1]:.2f} s")
            if not number:
                for each in asked:
                    each.first = each.seconds.pop()
                    each.cpu.clear()
        agree(study, question, told)
        study.asked += asked


def agree(study: Study, question: Question, told: Mapping[str, Mapping[str, int]]) -> None:
    if not question.project and sum(told[WEIR].values()) != study.records:
        raise AnswerError(f"{WEIR} has counted {sum(told[WEIR].values())} of {study.records} records")
    for tool, found in told.items():
        if tool != WEIR and found != told[LINES]:
            raise AnswerError(f"{tool} says {found}, and {LINES} {told[LINES]}")


def _timed(do: Callable[[], T]) -> tuple[T, tuple[float, float]]:
    wall, cpu = time.monotonic(), time.process_time()
    done = do()
    return done, (time.monotonic() - wall, time.process_time() - cpu)


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))


def versions() -> dict[str, str]:
    """Of Weir and of all that is asked beside it."""
    found = {"weir": f"{__version__} {form()}", "python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in ("duckdb", "zstandard")}
    for name, words in (("jq", ["jq", "--version"]), ("awk", ["awk", "-W", "version"])):
        if shutil.which(name):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            found[name] = (done.stdout or done.stderr).partition("\n")[0]
    return found


class _Impossible(click.ClickException):
    """The study cannot be made."""

    exit_code = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--records", type=click.IntRange(1000), default=10_000_000, help="Records of the log.")
@click.option("--rounds", type=click.IntRange(1, 50), default=3, help="Times that a question is asked again.")
@click.option(
    "--report", "page_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write a page."
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the log, kept; a log that is there is taken. [default: a temporary one]",
)
def main(records: int, rounds: int, page_path: Path | None, work: Path | None) -> None:
    """Measure how long questions about a request log take. Ten million records need 30 GB of disk for a while.

    The exit status is 0 when the bound is held, 1 when not, 2 when the study cannot be made.
    """

    def tell(line: str) -> None:
        click.echo(line, err=True)

    signal.signal(signal.SIGTERM, _terminated)
    study = Study(
        command=shlex.join(["python", "-m", "tests.bench.inspection", *sys.argv[1:]]),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        versions=versions(),
        rounds=rounds,
        records=records,
    )
    with ExitStack() as stack:
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-inspection-")))
        work.mkdir(parents=True, exist_ok=True)
        path, part = work / "requests.log", work / "part.log"
        try:
            if not path.exists():
                prepare(path, records, tell)
            shutil.rmtree(sidecar.directory(path), ignore_errors=True)
            part.unlink(missing_ok=True)
            close(study, path, part, tell)
            tools = [name for name in TOOLS if name in (WEIR, LINES, "duckdb") or shutil.which(name)]
            ask(study, path, part, tools, tell)
        except (AnswerError, MissingExtra, OSError) as error:
            raise _Impossible(str(error)) from None
    click.echo(inspection_page.text(study), nl=False)
    if page_path is not None:
        inspection_page.write(study, page_path)
    if not study.held:
        raise SystemExit(1)


def _terminated(number: int, frame: FrameType | None) -> None:
    """Leaves as ctrl-C does: through every block that removes files."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
