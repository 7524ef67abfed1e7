"""A run: every subject is started, probed and warmed up, then measured in turn, round after round."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import nginx, wrk
from tests.bench.install import Tools
from tests.bench.machine import machine, versions
from tests.bench.probe import check, probes
from tests.bench.report import Result
from tests.bench.sample import Bench, take
from tests.bench.server import Ports, Server
from tests.bench.setting import Setting
from tests.bench.subject import SUBJECTS, YARDSTICK, Subject
from tests.bench.workload import WORKLOADS, SigningKey, Workload

_WARM_UP = 1  # seconds


class RunError(Exception):
    """The run cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how.

    core       the core of the subject under test
    load_core  that of the load and the upstream
    """

    workload: Workload
    subjects: Sequence[Subject]
    seconds: int
    rounds: int
    connections: int
    core: int
    load_core: int


@dataclass(slots=True)
class _Contestant:
    """A subject that runs, with the workload that it is measured on.

    answered  requests so far, each of which its log, if it has one, must hold
    """

    name: str
    workload: Workload
    bench: Bench
    server: Server
    port: int
    log: Path | None
    answered: int = 0


def needs(options: Options) -> set[str]:
    """The programs that must be installed for this run."""
    return {"nginx", "wrk", "taskset"} | {subject.needs for subject in options.subjects if subject.needs}


def run(options: Options, tools: Tools, directory: Path, tell: Callable[[str], None]) -> Result:
    """Makes the run in `directory`. Raises RunError, StartError, LoadError or ProcError."""
    if missing := tools.missing(needs(options)):
        raise RunError(f"not installed: {', '.join(missing)}")
    available = os.sched_getaffinity(0)
    if options.core == options.load_core or not {options.core, options.load_core} <= available:
        raise RunError(f"two cores are needed, of {sorted(available)}")
    result = Result(
        workload=options.workload.name,
        title=options.workload.title,
        seconds=options.seconds,
        rounds=options.rounds,
        connections=options.connections,
        machine=machine(),
        versions=versions(tools),
        yardstick=_yardstick(options),
    )
    with ExitStack() as stack:
        contestants = list(_start(options, tools, directory, stack))
        for contestant in contestants:
            tell(f"warming up {contestant.name}")
            contestant.answered += contestant.bench.load(contestant.port, _WARM_UP).requests
        for number in range(options.rounds):
            # Each round begins with another, so that nobody always follows the same neighbour's heat.
            first = number % len(contestants)
            for contestant in contestants[first:] + contestants[:first]:
                sample = take(
                    contestant.bench,
                    contestant.server,
                    contestant.port,
                    contestant.workload,
                    row=contestant.name,
                    number=number,
                    seconds=options.seconds,
                )
                contestant.answered += sample.requests
                result.samples.append(sample)
                tell(f"round {number + 1} of {options.rounds}: {sample.row} {sample.cpu_us:.1f} us/request")
    # Now that all have stopped, their logs are complete.
    result.problems.extend(problem for contestant in contestants for problem in _unlogged(contestant))
    return result


def _yardstick(options: Options) -> str:
    """The name of the yardstick's row: its own, where it is measured on W1 anyway."""
    measured = options.workload.name == "W1" and SUBJECTS[YARDSTICK] in options.subjects
    return YARDSTICK if measured else f"{YARDSTICK} (W1)"


def _rows(options: Options) -> Iterator[tuple[str, Subject, Workload]]:
    """Name, subject and workload of each row; the yardstick is always among them."""
    if _yardstick(options) != YARDSTICK:
        yield _yardstick(options), SUBJECTS[YARDSTICK], WORKLOADS["W1"]
    for subject in options.subjects:
        yield subject.name, subject, options.workload


def _start(options: Options, tools: Tools, directory: Path, stack: ExitStack) -> Iterator[_Contestant]:
    ports = stack.enter_context(Ports())
    key = SigningKey()
    token = key.token()
    on_load_core = [str(tools.taskset), "-c", str(options.load_core)]
    home = _made(directory / "upstream")
    upstream_port = ports.take()
    configuration = home / "nginx.conf"
    configuration.write_text(nginx.upstream(home, upstream_port, token), encoding="utf-8")
    command = [*on_load_core, *nginx.command(tools, configuration)]
    stack.enter_context(Server(command, upstream_port, home / "output"))
    for name, subject, workload in _rows(options):
        home = _made(directory / name.replace(" ", "-"))
        script = home / "load.lua"
        script.write_text(wrk.script(workload, token), encoding="utf-8")
        setting = Setting(home, ports.take(), ports.take(), upstream_port, key, methods=workload.refused)
        launch = subject.launch(setting, tools)
        command = [str(tools.taskset), "-c", str(options.core), *launch.command]
        server = stack.enter_context(Server(command, setting.port, home / "output"))
        for probe in probes(workload, token, policy=subject.policy):
            if problem := check(setting.port, probe):
                raise RunError(f"{name}: {problem}")
        bench = Bench([*on_load_core, str(tools.wrk)], script, options.core, options.connections)
        yield _Contestant(name, workload, bench, server, setting.port, launch.log)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _unlogged(contestant: _Contestant) -> Iterator[str]:
    """A log that dropped requests was not paid for: the figure of its row is too good."""
    if contestant.log is None:
        return
    lines = 0
    with contestant.log.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            lines += chunk.count(b"\n")
    if lines < contestant.answered:
        yield f"{contestant.name}: {contestant.answered} requests answered, {lines} of them logged"
