"""A process that was told to end cannot be told again: it ends as it would have, with its own status."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.process import Process, started, weir
from tests.cli.test_run import ANYWHERE

LAST_SECONDS = """
import asyncio, os, signal, sys
from gateway.ending import ignore_signals
from gateway.loop import loop_factory

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

def tell():
    for number in NUMBERS:
        os.kill(os.getpid(), number)

async def main():
    heard = []
    for number in NUMBERS:
        asyncio.get_running_loop().add_signal_handler(number, heard.append, number)
    tell()
    while len(heard) < len(NUMBERS):
        await asyncio.sleep(0)
    ignore_signals(NUMBERS)
    tell()

with asyncio.Runner(loop_factory=FACTORY) as runner:
    runner.run(main())
    tell()
tell()
sys.exit(3)
"""


@pytest.mark.parametrize("factory", ["loop_factory()", "asyncio.new_event_loop"])
async def test_neither_the_end_of_a_loop_nor_what_comes_after_it_can_be_told(
    factory: str, tmp_path: Path
) -> None:
    code = LAST_SECONDS.replace("FACTORY", factory)
    async with started([sys.executable, "-c", code], tmp_path) as process:
        assert await process.ends() == 3


async def flooded(process: Process, numbers: tuple[int, ...]) -> int:
    """The exit status of a process that gets these signals until it is gone."""
    while process.popen.poll() is None:
        for number in numbers:
            process.signal(number)
        await asyncio.sleep(0.001)
    return await process.ends()


@pytest.mark.parametrize("command", ["run", "demo"])
async def test_a_gateway_that_has_drained_ends_well_however_often_it_is_told(
    command: str, tmp_path: Path
) -> None:
    async with weir(command, *ANYWHERE, directory=tmp_path) as process:
        await process.prints(r'"started"', to="stderr")
        process.signal()
        await process.prints(r'"stopped"', to="stderr")
        assert await flooded(process, (signal.SIGTERM, signal.SIGINT)) == 0
