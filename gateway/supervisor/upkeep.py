"""Has log files that are closed looked after: in a process of its own with the lowest priority, one file at a time."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog

from gateway.config.model import Log
from gateway.inspect import reader, sidecar
from gateway.inspect.upkeep import NONE
from gateway.request_log import STANDARD_OUTPUT
from gateway.trouble import Trouble

LOOK: Final = 10.0
"""Seconds between two looks at which files there are."""

_Seen = tuple[tuple[str, int, int], ...]


class Upkeep:
    """For the log that `options` tells of at the time: its closed files get sidecars, and are compressed."""

    def __init__(self, options: Callable[[], Log], *, look: float = LOOK) -> None:
        self._options = options
        self._look = look
        self._done: tuple[list[str], _Seen] | None = None
        warn = structlog.get_logger("gateway").warning
        self._trouble = Trouble("log_upkeep_failed", "log_upkeep_recovered", warn)

    async def keep(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            await asyncio.sleep(self._look)
            await self.look()

    async def look(self) -> None:
        """Does what there is to be done with the files that were closed since the last look."""
        options = self._options()
        sidecars = options.sidecars and find_spec("duckdb") is not None
        if options.path in (None, STANDARD_OUTPUT) or not (sidecars or options.compress):
            return
        assert options.path is not None
        path = Path(options.path)
        arguments = [str(path), "sidecars" if sidecars else NONE, options.compress or NONE]
        seen = await asyncio.to_thread(_closed, path)
        if not seen or (arguments, seen) == self._done:
            return
        if await self._run(arguments):
            # Files that were compressed have other names now.
            self._done = arguments, await asyncio.to_thread(_closed, path)

    async def _run(self, arguments: list[str]) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gateway.inspect.upkeep", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        if process.returncode:
            reason = errors.decode("utf-8", "replace").strip().splitlines()[-1:]
            self._trouble.begins(path=arguments[0], reason=reason[0] if reason else None)
            return False
        self._trouble.ends(path=arguments[0])
        return True


def _closed(path: Path) -> _Seen:
    """The files that are not written to any more, and what tells whether one of them has changed."""
    found = []
    with suppress(OSError):
        for file in reader.files(path):
            if file != path:
                with suppress(OSError):
                    state = file.stat()
                    if state.st_mtime + sidecar.QUIET > time.time():
                        continue
                    found.append((file.name, state.st_mtime_ns, state.st_size))
    return tuple(found)
