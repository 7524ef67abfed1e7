"""What the kernel says of processes and cores: CPU time, memory, and who else used a core.

The CPU time of a thread is the first number of /proc/PID/task/TID/schedstat, in nanoseconds (proc(5)); utime and
stime of /proc/PID/stat, in clock ticks, tell user from system time, too coarsely for more than that.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
_UPKEEP: Final = b"gateway.inspect.upkeep"
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class ProcError(Exception):
    """The kernel does not tell what is needed, or a process is gone; the message says which."""


def parse_schedstat(text: str) -> int:
    """Nanoseconds on a CPU. Raises ProcError."""
    fields = text.split()
    if len(fields) != 3 or not fields[0].isdigit():
        raise ProcError(f"not a schedstat: {text.strip()!r}")
    return int(fields[0])


def parse_stat(text: str) -> tuple[float, float]:
    """User and system seconds of a process with all its threads, those that ended included."""
    fields = text.rpartition(")")[2].split()  # the command's name may hold spaces and parentheses
    return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS


def parse_ended(text: str) -> float:
    """Seconds of all children of a process that have ended."""
    fields = text.rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def parse_rss(text: str) -> int:
    """Bytes of resident memory; 0 for a process that has none left."""
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class CoreTime(NamedTuple):
    """Seconds that a core has worked, and that the hypervisor kept from it, since the start of the machine."""

    busy: float
    steal: float


def parse_core(text: str, core: int) -> CoreTime:
    """Of /proc/stat. Raises ProcError for a core that it does not list."""
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, softirq, steal = map(int, rest.split()[:8])
            return CoreTime((user + nice + system + irq + softirq) / _TICKS, steal / _TICKS)
    raise ProcError(f"there is no core {core}")


def core_time(core: int, root: Path = PROC) -> CoreTime:
    return parse_core((root / "stat").read_text(), core)


def tree(pid: int, root: Path = PROC) -> list[int]:
    """The process and all that descend from it, as far as they are alive."""
    return list(_descend(pid, root))


def _descend(pid: int, root: Path) -> Iterator[int]:
    yield pid
    for task in _tasks(pid, root):
        try:
            children = (task / "children").read_text()
        except OSError:  # the thread ended meanwhile
            continue
        for child in children.split():
            yield from _descend(int(child), root)


def _tasks(pid: int, root: Path) -> list[Path]:
    try:
        return list((root / str(pid) / "task").iterdir())
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree of processes has used up to one instant.

    threads       nanoseconds on a CPU, by thread
    user, system  seconds
    rss           bytes; a page that two processes share counts twice
    upkeep        seconds of what looks after a closed log, with the lowest priority; in none of the others
    """

    threads: dict[int, int]
    user: float
    system: float
    rss: int
    upkeep: float = 0.0


def usage(pid: int, root: Path = PROC) -> Usage:
    """Of the process and its descendants. Raises ProcError when it is gone."""
    threads: dict[int, int] = {}
    user = system = upkeep = 0.0
    rss = 0
    for process in tree(pid, root):
        home = root / str(process)
        try:
            stat = (home / "stat").read_text()
            own = parse_stat(stat)
            upkeep += parse_ended(stat)
            if _UPKEEP in (home / "cmdline").read_bytes():
                upkeep += sum(own)
                continue
            rss += parse_rss((home / "status").read_text())
            for task in _tasks(process, root):
                threads[int(task.name)] = parse_schedstat((task / "schedstat").read_text())
        except OSError as error:
            if process != pid and not home.exists():
                continue  # it has ended since it was found, and its parent has its time
            raise ProcError(f"process {process} cannot be read: {error}") from None
        user += own[0]
        system += own[1]
    return Usage(threads, user, system, rss, upkeep)


def resident(pid: int, root: Path = PROC) -> int:
    """Bytes of resident memory of the process and its descendants. Raises ProcError when it is gone."""
    try:
        return sum(parse_rss((root / str(process) / "status").read_text()) for process in tree(pid, root))
    except OSError as error:
        raise ProcError(f"process {pid} cannot be read: {error}") from None


def cpu_seconds(before: Usage, after: Usage) -> float:
    """CPU time between two instants. Raises ProcError when a thread ended, for its time is lost."""
    if ended := before.threads.keys() - after.threads.keys():
        raise ProcError(f"{len(ended)} thread(s) ended while they were measured")
    return sum(spent - before.threads.get(thread, 0) for thread, spent in after.threads.items()) / 1e9
