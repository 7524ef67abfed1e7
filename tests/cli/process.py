"""A command as a process of its own: started, watched through what it prints, and never left behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.deadline import until

WEIR = Path(sys.executable).parent / "weir"
"""The console script of the environment that runs the tests."""

START = 60.0
"""Seconds that a process may take to start or to end on a busy machine."""


class Process:
    """A process whose standard output and error go to files, so that it can never wait for the test to read."""

    def __init__(self, popen: "subprocess.Popen[bytes]", directory: Path) -> None:
        self.popen = popen
        self._directory = directory

    @property
    def stdout(self) -> str:
        return (self._directory / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self._directory / "stderr").read_text()

    async def prints(self, pattern: str, *, to: str = "stdout") -> "re.Match[str]":
        """The first match of `pattern` in what it has printed, as soon as there is one."""
        compiled = re.compile(pattern, re.MULTILINE)
        path = self._directory / to

        def there() -> bool:
            return compiled.search(path.read_text()) is not None or self.popen.poll() is not None

        try:
            await until(there, f"{to} shows {pattern!r}", START)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.stdout}{self.stderr}") from None
        found = compiled.search(path.read_text())
        assert found is not None, f"ended with {self.popen.returncode}\n{self.stdout}{self.stderr}"
        return found

    async def listens(self) -> "Listening":
        """Waits for the gateway to say where it listens."""
        found = await self.prints(
            r'"listen": \["127\.0\.0\.1:(\d+)"(?:, "[^"]*")*\], "admin": "127\.0\.0\.1:(\d+)"', to="stderr"
        )
        return Listening(int(found[1]), int(found[2]))

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.popen.send_signal(number)

    async def ends(self) -> int:
        """The exit status; negative for the signal that ended it."""
        await until(lambda: self.popen.poll() is not None, "the process ends", START)
        return int(self.popen.returncode)


class Listening:
    """Where a gateway listens, on loopback."""

    def __init__(self, port: int, admin_port: int) -> None:
        self.port = port
        self.admin_port = admin_port
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"


@asynccontextmanager
async def started(
    command: Sequence[str | Path],
    directory: Path,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
    pass_fds: Sequence[int] = (),
) -> AsyncIterator[Process]:
    """Starts `command`, with its output in `directory`; killed if it is still there at the end.

    A traceback in what it printed fails the test, whatever else it did right.
    """
    with (directory / "stdout").open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
        popen = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd or directory,
            env=dict(environment if environment is not None else os.environ),
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
            pass_fds=pass_fds,
        )
    process = Process(popen, directory)
    try:
        yield process
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.wait()
    assert "Traceback" not in process.stdout + process.stderr, process.stdout + process.stderr


@asynccontextmanager
async def weir(*arguments: str | Path, directory: Path) -> AsyncIterator[Process]:
    """`weir` with `arguments`, run in `directory`."""
    async with started([WEIR, *arguments], directory) as process:
        yield process


async def told(*arguments: str | Path, directory: Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `weir`, which ends by itself."""
    async with weir(*arguments, directory=directory) as process:
        status = await process.ends()
    return status, process.stdout, process.stderr
