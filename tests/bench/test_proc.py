import os
from pathlib import Path

import pytest

from tests.bench import proc
from tests.bench.proc import CoreTime, ProcError, Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_STAT = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 200 300 4000 50 60 70 80 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n"


def _process(
    root: Path,
    pid: int,
    threads: dict[int, int],
    children: str = "",
    name: str = "nginx",
    *,
    ended: int = 0,
    command: bytes = b"nginx",
) -> None:
    home = root / str(pid)
    for thread, spent in threads.items():
        task = home / "task" / str(thread)
        task.mkdir(parents=True)
        (task / "schedstat").write_text(f"{spent} 12 34\n")
        (task / "children").write_text(children if thread == pid else "")
    fields = " ".join(["S", *["0"] * 10, str(3 * _TICKS), str(2 * _TICKS), str(ended * _TICKS), *["0"] * 29])
    (home / "stat").write_text(f"{pid} ({name}) {fields}\n")
    (home / "cmdline").write_bytes(command)
    (home / "status").write_text("Name:\tnginx\nVmRSS:\t    2048 kB\nThreads:\t1\n")


def test_schedstat_begins_with_nanoseconds_on_a_cpu() -> None:
    assert proc.parse_schedstat("123456789 42 7\n") == 123456789


@pytest.mark.parametrize("text", ["", "1 2\n", "x 1 2\n"])
def test_refuses_what_is_not_a_schedstat(text: str) -> None:
    with pytest.raises(ProcError, match="not a schedstat"):
        proc.parse_schedstat(text)


@pytest.mark.parametrize("name", ["nginx", "a) S 1 (b", "two words"])
def test_stat_is_read_after_the_name_whatever_the_name_holds(tmp_path: Path, name: str) -> None:
    _process(tmp_path, 10, {10: 1}, name=name)
    assert proc.parse_stat((tmp_path / "10" / "stat").read_text()) == (3.0, 2.0)


def test_resident_memory_is_in_bytes() -> None:
    assert proc.parse_rss("VmHWM:\t 9 kB\nVmRSS:\t 3 kB\n") == 3072
    assert proc.parse_rss("Name:\tzombie\n") == 0


def test_a_core_is_busy_when_it_neither_idles_nor_waits() -> None:
    assert proc.parse_core(_STAT, 0) == CoreTime(730 / _TICKS, 80 / _TICKS)


def test_refuses_a_core_that_is_not_there() -> None:
    with pytest.raises(ProcError, match="no core 2"):
        proc.parse_core(_STAT, 2)


def test_usage_sums_all_threads_of_all_descendants(tmp_path: Path) -> None:
    _process(tmp_path, 10, {10: 100, 11: 200}, children="20 ")
    _process(tmp_path, 20, {20: 300}, children="30")
    _process(tmp_path, 30, {30: 400})
    _process(tmp_path, 40, {40: 999})
    used = proc.usage(10, tmp_path)
    assert used == Usage({10: 100, 11: 200, 20: 300, 30: 400}, user=9.0, system=6.0, rss=3 * 2048 * 1024)


def test_what_looks_after_closed_logs_is_told_apart(tmp_path: Path) -> None:
    _process(tmp_path, 10, {10: 100}, children="20 30", ended=7)
    _process(tmp_path, 20, {20: 300}, command=b"python\0-P\0-m\0gateway.inspect.upkeep\0requests.log")
    used = proc.usage(10, tmp_path)
    assert used == Usage({10: 100}, user=3.0, system=2.0, rss=2048 * 1024, upkeep=7.0 + 3.0 + 2.0)


def test_usage_of_a_process_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcError, match="process 10 cannot be read"):
        proc.usage(10, tmp_path)


def test_resident_memory_is_that_of_all_descendants(tmp_path: Path) -> None:
    _process(tmp_path, 10, {10: 1}, children="20")
    _process(tmp_path, 20, {20: 1})
    assert proc.resident(10, tmp_path) == 2 * 2048 * 1024
    with pytest.raises(ProcError, match="process 30 cannot be read"):
        proc.resident(30, tmp_path)


def test_usage_of_this_process_grows() -> None:
    before = proc.usage(os.getpid())
    while not proc.cpu_seconds(before, after := proc.usage(os.getpid())):
        pass
    assert after.rss > 0


def test_cpu_time_counts_threads_that_began_meanwhile() -> None:
    before = Usage({1: 1_000_000_000}, 0, 0, 0)
    after = Usage({1: 1_500_000_000, 2: 250_000_000}, 0, 0, 0)
    assert proc.cpu_seconds(before, after) == pytest.approx(0.75)


def test_cpu_time_is_unknown_when_a_thread_ended() -> None:
    with pytest.raises(ProcError, match="1 thread"):
        proc.cpu_seconds(Usage({1: 5, 2: 5}, 0, 0, 0), Usage({1: 9}, 0, 0, 0))
