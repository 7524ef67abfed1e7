"""A run: every subject is started, probed and warmed up, then measured in turn, round after round."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from gateway.inspect.reader import files
from tests.bench import alone, backtest, decision, hook, latency, memory, wrk
from tests.bench.bound import BACKTEST, DECISIONS, HOOKS
from tests.bench.install import Tools
from tests.bench.machine import machine, versions
from tests.bench.pace import PaceError
from tests.bench.proc import ProcError
from tests.bench.result import Result
from tests.bench.sample import ATTEMPTS, Bench, Sample, take
from tests.bench.server import StartError
from tests.bench.session import Session
from tests.bench.stage import Running, Stage, probed
from tests.bench.stall import Halt
from tests.bench.subject import SUBJECTS, YARDSTICK, Subject
from tests.bench.workload import ALL, LIMITS, SEEN, WORKLOADS, Workload
from tests.bench.wrk import LoadError

LATENCY: Final = "latency"
MEMORY: Final = "memory"
STUDIES: Final = (*WORKLOADS, HOOKS, BACKTEST, LATENCY, MEMORY)
"""What can be measured: the workloads, calls of single hooks, back-tests, latency at a fixed rate, and memory."""

_BESIDE: Final = {LIMITS: (DECISIONS,)}
"""What belongs to a study, and is measured after it."""

_WARM_UP = 1  # seconds


class RunError(Exception):
    """The run cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how.

    studies    names of STUDIES
    subjects   names of those to measure, as far as a study has them; None for all
    core       the core of the subject under test
    load_core  that of the load and the upstream
    command    what was typed
    """

    studies: Sequence[str]
    subjects: Sequence[str] | None
    seconds: int
    rounds: int
    connections: int
    core: int
    load_core: int
    command: str = ""

    def chosen(self, study: str) -> list[Subject]:
        """The subjects of a study, in the order of the study."""
        names = WORKLOADS[study].subjects if study in WORKLOADS else _STUDIED[study]
        return [SUBJECTS[name] for name in names if self.subjects is None or name in self.subjects]

    def planned(self) -> list[str]:
        """The studies that have any of the subjects, each with what is measured beside it."""
        each = (part for study in self.studies for part in (study, *_BESIDE.get(study, ())))
        return [part for part in each if self.chosen(part)]


_STUDIED: Final = {
    LATENCY: ALL,
    MEMORY: memory.BARE,
    HOOKS: ("weir",),
    DECISIONS: ("weir",),
    BACKTEST: ("weir",),
}


class _Alone(NamedTuple):
    """What is measured in processes of their own: rows of a module's command."""

    title: str
    unit: str
    module: str
    rows: Sequence[str]


_ALONE: Final = {
    HOOKS: _Alone(
        "calls of one hook, in a process that does nothing else", "call", hook.__name__, list(hook.HOOKS)
    ),
    DECISIONS: _Alone(
        f"by four limits, {decision.AT_ONCE} at once where a server is asked",
        "decision",
        decision.__name__,
        list(decision.ROWS),
    ),
    BACKTEST: _Alone(
        f"of {backtest.RECORDS:,} records, in one process", "record", backtest.__name__, list(backtest.ROWS)
    ),
}


@dataclass(slots=True)
class _Contestant:
    """A subject that runs, with the workload that it is measured on.

    answered  requests so far, each of which its log, if it has one, must hold
    """

    running: Running
    workload: Workload
    bench: Bench
    answered: int = 0


def needs(options: Options) -> set[str]:
    """The programs that must be installed for this run."""
    planned = options.planned()
    subjects = [subject for study in planned for subject in options.chosen(study)]
    needed = {"nginx", "wrk", "taskset"} | {subject.needs for subject in subjects if subject.needs}
    return needed | {"redis"} if DECISIONS in planned else needed


def run(options: Options, tools: Tools, directory: Path, tell: Callable[[str], None]) -> Session:
    """Makes the run in `directory`.

    Raises RunError; StartError, LoadError, PaceError or ProcError as well where nothing else is to be measured.
    """
    if not options.planned():
        raise RunError(f"{', '.join(options.studies)}: none of these subjects is measured there")
    if missing := tools.missing(needs(options)):
        raise RunError(f"not installed: {', '.join(missing)}")
    available = os.sched_getaffinity(0)
    if options.core == options.load_core or not {options.core, options.load_core} <= available:
        raise RunError(f"two cores are needed, of {sorted(available)}")
    session = Session(
        command=options.command,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine(),
        versions=versions(tools),
        seconds=options.seconds,
        rounds=options.rounds,
    )
    planned = options.planned()
    for study in planned:
        try:
            with ExitStack() as stack:
                stage = Stage(stack, tools, directory / study, options.core, options.load_core)
                _study(options, study, stage, session, tell)
        except (StartError, LoadError, PaceError, ProcError) as error:
            if len(planned) == 1:
                raise
            # What the others found in many minutes is not thrown away for it.
            session.failures.append(f"{study}: {error}")
            tell(session.failures[-1])
    return session


def _study(options: Options, study: str, stage: Stage, session: Session, tell: Callable[[str], None]) -> None:
    subjects = options.chosen(study)
    if study == LATENCY:
        session.latencies += latency.measure(
            stage,
            subjects,
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
            tell=tell,
        )
    elif study == MEMORY:
        session.memories += memory.measure(stage, subjects, tell, halt=Halt(), connections=memory.CONNECTIONS)
    elif study in _ALONE:
        session.results.append(_measure_alone(options, stage, study, tell))
    else:
        session.results.append(_measure(options, stage, WORKLOADS[study], subjects, tell))


def _measure(
    options: Options, stage: Stage, workload: Workload, subjects: list[Subject], tell: Callable[[str], None]
) -> Result:
    """One workload. Its stage is left with all servers stopped, so that their logs are complete."""
    result = Result(
        workload=workload.name,
        title=workload.title,
        unit=workload.unit,
        connections=workload.connections or options.connections,
        yardstick=_yardstick(workload, subjects),
    )
    with stage.stack:
        contestants = list(_start(options, stage, workload, subjects))
        for contestant in contestants:
            tell(f"{workload.name}: warming up {contestant.running.name}")
            contestant.answered += contestant.bench.load(contestant.running.port, _WARM_UP).requests
        for number in range(options.rounds):
            # Each round begins with another, so that nobody always follows the same neighbour's heat.
            first = number % len(contestants)
            for contestant in contestants[first:] + contestants[:first]:
                sample = undisturbed(contestant, number, options.seconds)
                result.samples.append(sample)
                if contestant.running.name == SEEN:
                    result.samples.append(sample.upkeep())
                tell(
                    f"{workload.name}, round {number + 1} of {options.rounds}: "
                    f"{sample.row} {sample.cpu_us:.1f} us/{contestant.workload.unit}"
                )
    result.problems.extend(problem for contestant in contestants for problem in _unlogged(contestant))
    return result


def _measure_alone(options: Options, stage: Stage, study: str, tell: Callable[[str], None]) -> Result:
    """What is measured in processes of their own, beside the yardstick."""
    title, unit, module, rows = _ALONE[study]
    result = Result(
        workload=study,
        title=title,
        unit=unit,
        connections=options.connections,
        yardstick=f"{YARDSTICK} (W1)",
    )
    with stage.stack:
        (yardstick,) = _start(options, stage, WORKLOADS["filters"], [])
        yardstick.bench.load(yardstick.running.port, _WARM_UP)
        command = stage.pinned([sys.executable, "-m", module], stage.core)
        if study == DECISIONS:
            server = stage.redis()
            command += ["--store", f"redis://127.0.0.1:{server.port}", "--server", str(server.pid)]
        elif study == BACKTEST:
            log = stage.directory / "requests.log"
            tell(f"{study}: writing {backtest.RECORDS:,} records")
            backtest.write(log, backtest.RECORDS)
            command += ["--log", str(log)]
        for number in range(options.rounds):
            result.samples.append(undisturbed(yardstick, number, options.seconds))
            for row in rows:
                for _ in range(ATTEMPTS):
                    samples = alone.take(command, row, stage.core, number=number, seconds=options.seconds)
                    if not samples[0].disturbed:
                        break
                result.samples.extend(samples)
                tell(
                    f"{study}, round {number + 1} of {options.rounds}: {row} {samples[0].cpu_us:.2f} us/{unit}"
                )
    return result


def undisturbed(contestant: _Contestant, number: int, seconds: int) -> Sample:
    """One measurement, made again while others are in its way."""
    for _ in range(ATTEMPTS):
        running = contestant.running
        sample = take(
            contestant.bench,
            running.server,
            running.port,
            contestant.workload,
            row=running.name,
            number=number,
            seconds=seconds,
        )
        contestant.answered += sample.requests
        if not sample.disturbed:
            break
    return sample


def _yardstick(workload: Workload, subjects: Sequence[Subject]) -> str:
    """The name of the yardstick's row: its own, where it is measured on W1, or what is no other, anyway."""
    measured = workload.name in ("W1", LIMITS) and SUBJECTS[YARDSTICK] in subjects
    return YARDSTICK if measured else f"{YARDSTICK} (W1)"


def _rows(workload: Workload, subjects: Sequence[Subject]) -> Iterator[tuple[str, Subject, Workload]]:
    """Name, subject and workload of each row; the yardstick is always among them."""
    yardstick = _yardstick(workload, subjects)
    if yardstick != YARDSTICK:
        yield yardstick, SUBJECTS[YARDSTICK], WORKLOADS["W1"]
    for subject in subjects:
        yield subject.name, subject, workload


def _start(
    options: Options, stage: Stage, of: Workload, subjects: Sequence[Subject]
) -> Iterator[_Contestant]:
    token = stage.key.token()
    upstream_port = stage.upstream(token)
    for name, subject, workload in _rows(of, subjects):
        running = stage.start(subject, upstream_port, name=name, workload=workload)
        probed(running, workload, token)
        script = running.home / "load.lua"
        script.write_text(wrk.script(workload, token), encoding="utf-8")
        bench = Bench(
            stage.pinned([str(stage.tools.wrk)], stage.load_core),
            script,
            workload.path,
            stage.core,
            workload.connections or options.connections,
        )
        yield _Contestant(running, workload, bench)


def _unlogged(contestant: _Contestant) -> Iterator[str]:
    """A log that dropped requests was not paid for: the figure of its row is too good."""
    running = contestant.running
    if running.log is None:
        return
    lines = 0
    for file in files(running.log):
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                lines += chunk.count(b"\n")
    if lines < contestant.answered:
        yield f"{running.name}: {contestant.answered} requests answered, {lines} of them logged"
