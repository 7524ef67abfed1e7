"""Locks between processes that the kernel frees when their process ends, however it ends: fcntl(2), one byte each.

A process owns its locks of a file as a whole. So the file is one that nothing else is done with: closing any descriptor of
it would free all of them.
"""

import ctypes
import fcntl
import os
import sys
import time
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

SPINS: Final = 64
"""Attempts, each with a word to the scheduler, before the process sleeps. A lock is held for some microseconds."""
NAP: Final = 0.0001
"""Seconds between two attempts of one that sleeps: its holder has no core, and this leaves it one."""
PATIENCE: Final = 0.25
"""Seconds after which a lock is not to be had: its holder is stopped, say by a debugger."""

_lockf: Final = fcntl.lockf
_UNLOCK: Final = fcntl.LOCK_UN
_SET: Final = fcntl.F_SETLK
_FLOCK: Final = Struct("hhqqi")
"""`struct flock` of Linux on machines of 64 bits: type, whence, start, length, process."""
_PLAIN: Final = sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8


class ByteLock:
    """The lock of one byte of a file. Between processes only: a process has it or not, whichever thread took it.

    waits     how often it was not free at once
    timeouts  how often it was not to be had
    """

    __slots__ = (
        "_call",
        "_fd",
        "_keep",
        "_offset",
        "_patience",
        "_stuck",
        "_take",
        "timeouts",
        "waits",
    )

    def __init__(self, fd: int, offset: int, *, patience: float = PATIENCE) -> None:
        self._fd = fd
        self._offset = offset
        self._patience = patience
        self._stuck = False
        self.waits = 0
        self.timeouts = 0
        # By ctypes because `fcntl.lockf` lets go of the interpreter's lock: a thread that takes it then has this one wait
        # for up to 5 ms, and with it all processes.
        self._call: Callable[..., int] | None = ctypes.PyDLL(None).fcntl if _PLAIN else None
        self._keep: Any = ctypes.create_string_buffer(
            _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0), _FLOCK.size + 4
        )
        self._take: Any = ctypes.byref(self._keep)

    def try_take(self) -> bool:
        """Takes it where it is free, or this process has it already."""
        if self._call is not None:
            return self._call(self._fd, _SET, self._take) == 0
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._offset)
        except OSError:
            return False
        return True

    def take(self) -> bool:
        """Takes it, and waits for that; False when it is not to be had.

        Then nobody waits for it any more until it has been free once: a process that is stopped holds others up once only.
        """
        call = self._call
        if call(self._fd, _SET, self._take) == 0 if call is not None else self.try_take():
            self._stuck = False
            return True
        self.waits += 1
        if not self._stuck and self._wait():
            return True
        self._stuck = True
        self.timeouts += 1
        return False

    def _wait(self) -> bool:
        for _ in range(SPINS):
            os.sched_yield()
            if self.try_take():
                return True
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            time.sleep(NAP)
            if self.try_take():
                return True
        return False

    def free(self) -> None:
        _lockf(self._fd, _UNLOCK, 1, self._offset)
