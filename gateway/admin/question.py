"""Questions about the request log, and of what would become of a request, each in a process of its own: it may take seconds
and memory, and neither is the gateway's. Two at a time; whoever goes away takes his question along.
"""

import asyncio
import sys
from importlib.util import find_spec
from typing import Final

from gateway.admin import explanation
from gateway.config.load import Loaded
from gateway.inspect.reader import MissingExtra
from gateway.request_log import STANDARD_OUTPUT
from gateway.task import end_process
from gateway.trial.case import Circumstances

AT_ONCE: Final = 2
TIME: Final = 60.0
"""Seconds that a question may take."""
_ANSWER: Final = 64 << 20  # bytes


class Unanswered(Exception):  # noqa: N818 - it names what has happened
    """Why there is no answer, for whoever has asked. `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Questions:
    def __init__(self, *, time: float = TIME) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._time = time

    async def ask(self, path: str | None, *words: str) -> bytes:
        """What `weir logs WORDS` prints of the log at `path`, as JSON. Raises Unanswered."""
        if path is None or path == STANDARD_OUTPUT:
            raise Unanswered(501, "the request log is not written to a file (log.path)")
        if words[0] != "show" and find_spec("duckdb") is None:
            raise Unanswered(501, str(MissingExtra()))
        words = (words[0], "--log", path, "--format", "json", *words[1:])
        return await self._asked("from gateway.cli.logs import command; command()", *words, failed=404)

    async def explain(self, loaded: Loaded, said: Circumstances) -> bytes:
        """What becomes of a request under a configuration, as JSON. Raises Unanswered."""
        given = explanation.question(loaded, said)
        return await self._asked(
            "from gateway.admin.explanation import main; main()", given=given, failed=422
        )

    async def _asked(self, program: str, *words: str, given: bytes = b"", failed: int) -> bytes:
        """What a program prints; `failed` is the status for its exit status 1."""
        async with self._turns:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", program, *words),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_ANSWER,
            )
            try:
                async with asyncio.timeout(self._time):
                    out, errors = await process.communicate(given)
            except TimeoutError:
                raise Unanswered(
                    504, f"no answer within {self._time:g} s: ask about a shorter time"
                ) from None
            finally:
                await end_process(process)
        if process.returncode:
            lines = errors.decode("utf-8", "replace").strip()
            # Of what is wrong with the question the words, and not how the command is used.
            raise Unanswered(
                failed if process.returncode == 1 else 400, lines.partition("Error: ")[2] or lines
            )
        return out
