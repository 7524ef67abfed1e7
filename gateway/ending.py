"""The last moments of a process that was told to end: from the end of its work until it is gone, it cannot be told again."""

import asyncio
import signal
from collections.abc import Iterable


def ignore_signals(numbers: Iterable[signal.Signals]) -> None:
    """From now on these change nothing, the exit status least of all: what they ask for has been done.

    An event loop that closes gives each signal that it has handled its default action back, which is to kill the process.
    For the main thread, in a loop that handles them.
    """
    numbers = tuple(numbers)
    loop = asyncio.get_running_loop()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
