"""Locks between processes that the kernel frees when their process ends, however it ends.

A `ByteLock` is of fcntl(2), one byte of a file each. A process owns its locks of a file as a whole. So the file is one that
nothing else is done with: closing any descriptor of it would free all of them. Of another kind is `gateway.shared.mutex`.
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
_FLOCK: Final = Struct("hhqqi")
"""`struct flock` of Linux on machines of 64 bits: type, whence, start, length, process."""
_PLAIN: Final = sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8


class Lock:
    """A lock that is had by one at a time, and waited for by asking again and again.

    waits     how often it was not free at once
    timeouts  how often it was not to be had
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._stuck = False
        self.waits = 0
        self.timeouts = 0

    def try_take(self) -> bool:
        """Takes it where it is free."""
        raise NotImplementedError

    def free(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Lets go of what it stands on. Nobody has it then."""

    def take(self) -> bool:
        """Takes it, and waits for that; False when it is not to be had.

        Then nobody waits for it any more until it has been free once: a process that is stopped holds others up once only.
        """
        if self.try_take():
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


class ByteLock(Lock):
    """The lock of one byte of a file. Between processes only: a process has it or not, whichever thread took it."""

    def __init__(self, fd: int, offset: int, *, patience: float = PATIENCE) -> None:
        super().__init__(patience)
        self._fd = fd
        self._offset = offset
        # By ctypes because `fcntl.lockf` lets go of the interpreter's lock: a thread that takes it then has this one wait
        # for up to 5 ms, and with it all processes.
        self._call: Callable[..., int] | None = ctypes.PyDLL(None).fcntl if _PLAIN else None
        self._keep: Any = ctypes.create_string_buffer(
            _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0), _FLOCK.size + 4
        )
        self._take: Any = ctypes.byref(self._keep)
        self._number: Any = ctypes.c_int(fd)
        self._set: Any = ctypes.c_int(fcntl.F_SETLK)

    def try_take(self) -> bool:
        """Takes it where it is free, or this process has it already."""
        if self._call is not None:
            return self._call(self._number, self._set, self._take) == 0
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._offset)
        except OSError:
            return False
        return True

    def is_held(self) -> bool:
        """Whether another process has it. Not for one that this process has."""
        if _PLAIN:
            asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, self._offset, 1, 0).ljust(_FLOCK.size + 4, b"\0")
            kind: int = _FLOCK.unpack_from(fcntl.fcntl(self._fd, fcntl.F_GETLK, asked))[0]
            return kind != fcntl.F_UNLCK
        if not self.try_take():
            return True
        self.free()
        return False

    def free(self) -> None:
        _lockf(self._fd, _UNLOCK, 1, self._offset)
