"""Questions about a request log, as commands of several tools, and how long each takes to answer."""

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from tests.bench import proc
from tests.bench.sample import QUIET

REASON: Final = "gateway.reason"
PROJECT: Final = "gateway.project.id"
STATUS: Final = "http.response.status_code"
MUST: Final = 5.0
"""Seconds that the first question may take, of all records and with sidecars."""
_TIMEOUT: Final = 1800.0


class AnswerError(Exception):
    """A tool has failed, or has found something else than another; the message says which."""


class Question(NamedTuple):
    """How many records there are by reason: all, or the refusals and failures of one `project`."""

    name: str
    title: str
    project: str = ""

    @property
    def query(self) -> str:
        """In the language of `weir logs`."""
        return f"status >= 400 and project_id = {self.project}" if self.project else ""


class Tool(NamedTuple):
    """`own` where it is Weir; `whole` where it is asked about all records and not about a part."""

    title: str
    own: bool = False
    whole: bool = False


WEIR: Final = "weir"
LINES: Final = "weir, lines"
TOOLS: Final[Mapping[str, Tool]] = {
    WEIR: Tool("`weir logs top`, with sidecars", own=True, whole=True),
    LINES: Tool("`weir logs top`, without", own=True),
    "duckdb": Tool("DuckDB, `read_json_auto`"),
    "jq": Tool("jq, sort, uniq"),
    "awk": Tool("awk; grep before it where there is a filter"),
}


def command(tool: str, question: Question, log: Path) -> list[str]:
    """What is run; it prints JSON where the tool is Weir, or else a count and a reason on each line."""
    file = shlex.quote(str(log))
    match tool:
        case "duckdb":
            text = (
                "import duckdb, sys; duckdb.execute('SET enable_progress_bar = false'); "
                "[print(n, r) for r, n in duckdb.execute(sys.argv[1]).fetchall()]"
            )
            return [sys.executable, "-c", text, _sql(question, log)]
        case "jq":
            wanted = f'.kind == "request"{_jq(question)}'
            program = shlex.quote(f'select({wanted}) | .["{REASON}"]')
            return _shell(f"jq -r {program} {file} | LC_ALL=C sort | uniq -c")
        case "awk":
            program = '{ split($2, a, "\\""); n[a[1]]++ } END { for (r in n) print n[r], r }'
            split = shlex.quote(f'"{REASON}":"')
            if not question.project:
                return _shell(f"LC_ALL=C awk -F{split} {shlex.quote(f'NF > 1 {program}')} {file}")
            wanted = shlex.quote(f'"{PROJECT}":"{question.project}"')
            status = f'/"{STATUS}":[45]/'.replace(".", "\\.")
            return _shell(
                f"LC_ALL=C grep -F {wanted} {file} | LC_ALL=C awk -F{split} {shlex.quote(f'{status} {program}')}"
            )
    start = "from gateway.cli.main import main; main()"
    words = ["logs", "top", "--by", "reason", "--log", str(log), "-n", "1000", "--format", "json"]
    return [sys.executable, "-c", start, *words, *([question.query] if question.project else [])]


def shown(tool: str, question: Question) -> str:
    """The command as people would type it."""
    if tool in (WEIR, LINES):
        return f"weir logs top --by reason {shlex.quote(question.query) if question.project else ''}".strip()
    words = command(tool, question, Path("requests.log"))
    return words[-1]


def _shell(text: str) -> list[str]:
    return ["/bin/bash", "-o", "pipefail", "-c", text]


def _jq(question: Question) -> str:
    if not question.project:
        return ""
    return f' and .["{STATUS}"] >= 400 and .["{PROJECT}"] == "{question.project}"'


def _sql(question: Question, log: Path) -> str:
    where = "kind = 'request'"
    if question.project:
        where += f' AND "{STATUS}" >= 400 AND "{PROJECT}" = \'{question.project}\''
    return (
        f"SELECT \"{REASON}\", count(*) AS n FROM read_json_auto('{log}', format = 'newline_delimited') "
        f"WHERE {where} GROUP BY ALL ORDER BY n DESC"
    )


@dataclass(slots=True)
class Asked:
    """A tool that has been asked a question several times.

    records  that there were
    first    seconds of the first time, with nothing of the log in memory
    seconds  of each other time
    cpu      CPU seconds of each of these, of all processes together
    foreign  the greatest share of the machine that others had meanwhile
    """

    tool: str
    question: Question
    records: int
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    foreign: float = 0.0

    @property
    def median(self) -> float:
        return median(self.seconds)

    def of(self, records: int) -> float:
        """Seconds for so many records, where they grow with these."""
        return self.median * records / self.records

    def ask(self, log: Path) -> Mapping[str, int]:
        """Asks again; the counts. Raises AnswerError."""
        words = command(self.tool, self.question, log)
        cores = sorted(os.sched_getaffinity(0))
        busy = sum(proc.core_time(core).busy for core in cores)
        cpu, began = _children(), time.monotonic()
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AnswerError(f"{self.tool}: {error}") from None
        took, used = time.monotonic() - began, _children() - cpu
        if done.returncode and not (self.tool == "awk" and done.returncode == 1):  # grep has found nothing
            raise AnswerError(f"{self.tool}: {done.stderr.strip()[-300:]}")
        busy = sum(proc.core_time(core).busy for core in cores) - busy
        self.foreign = max(self.foreign, min(1.0, (busy - used) / took / len(cores)))
        self.seconds.append(took)
        self.cpu.append(used)
        return counts(self.tool, done.stdout)


@dataclass(slots=True)
class Study:
    """What was measured.

    records         of the whole log, `closed` of those in its closed files, `part` of the file that the others were asked about
    plain           bytes of all lines, packed of the files as they are kept, sidecars of the sidecars
    made            seconds for the sidecar of each closed file, by the clock and of CPU; `compressed` the same for compressing
    """

    command: str
    date: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    rounds: int
    records: int
    closed: int = 0
    part: int = 0
    plain: int = 0
    packed: int = 0
    sidecars: int = 0
    made: list[tuple[float, float]] = field(default_factory=list)
    compressed: list[tuple[float, float]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    @property
    def answered(self) -> float:
        """Seconds of what is bounded."""
        return next(each.median for each in self.asked if each.tool == WEIR and not each.question.project)

    @property
    def held(self) -> bool:
        return self.answered <= MUST

    def doubts(self) -> list[str]:
        """What makes the figures unfit for publishing."""
        foreign = max((each.foreign for each in self.asked), default=0.0)
        return [f"others used up to {foreign:.0%} of the machine"] if foreign > QUIET else []


def counts(tool: str, printed: str) -> Mapping[str, int]:
    """What a tool has found: how many, by reason."""
    if tool in (WEIR, LINES):
        return {row["reason"]: row["requests"] for row in json.loads(printed)}
    lines = (line.split(maxsplit=1) for line in printed.splitlines())
    return {reason: int(count) for count, reason in lines}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def forgotten(files: Sequence[Path]) -> None:
    """Has the kernel forget what it holds of these files in memory."""
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
