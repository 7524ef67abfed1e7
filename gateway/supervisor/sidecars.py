"""Has sidecars made of the log files that are closed: in a process of its own with the lowest priority, one at a time."""

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
from gateway.request_log import STANDARD_OUTPUT

LOOK: Final = 10.0
"""Seconds between two looks at which files there are."""

_Seen = tuple[tuple[str, int, int], ...]


class Sidecars:
    """For the log that `options` tells of at the time."""

    def __init__(self, options: Callable[[], Log], *, look: float = LOOK) -> None:
        self._options = options
        self._look = look
        self._seen: _Seen = ()
        self._log = structlog.get_logger("gateway")

    async def keep(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            await asyncio.sleep(self._look)
            await self.look()

    async def look(self) -> None:
        """Makes those of the files that were closed since the last look."""
        options = self._options()
        if options.path in (None, STANDARD_OUTPUT) or not options.sidecars or find_spec("duckdb") is None:
            return
        assert options.path is not None
        path = Path(options.path)
        seen = await asyncio.to_thread(_closed, path)
        if seen == self._seen or not seen:
            return
        if await self._make(path):
            self._seen = seen

    async def _make(self, path: Path) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gateway.inspect.sidecar", str(path)),
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
            self._log.warning("sidecars_failed", path=str(path), reason=reason[0] if reason else None)
        return process.returncode == 0


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
