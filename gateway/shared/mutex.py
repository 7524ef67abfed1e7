"""A lock between processes that lies in memory which they share: a robust mutex of POSIX threads.

Where it is free, nothing is asked of the kernel, which takes a tenth of what a lock of fcntl(2) does. The kernel frees it when
the thread that has it ends, however it ends: it walks the list that the C library keeps of what a thread has
(pthread_mutexattr_setrobust(3), get_robust_list(2)). Whoever takes it next is told, and looks after what was left behind.
"""

import ctypes
import errno
import mmap
import sys
from typing import Any, Final

from gateway.shared.lock import PATIENCE, Lock

SIZE: Final = 64
"""Bytes that it takes, at most: 40 or 48 with the C libraries of Linux."""

_OWNER_DIED: Final = errno.EOWNERDEAD


def _library() -> Any:
    """The C library, called without letting go of the interpreter's lock: nothing here waits. None where it has no such mutex."""
    if sys.platform != "linux":
        return None
    library = ctypes.PyDLL(None)
    return library if hasattr(library, "pthread_mutexattr_setrobust") else None


_LIBRARY: Final[Any] = _library()
AVAILABLE: Final[bool] = _LIBRARY is not None


class Mutex(Lock):
    """The mutex at an offset of a memory, which is a multiple of 8. It is freed by the thread that took it."""

    def __init__(self, memory: mmap.mmap, offset: int, *, patience: float = PATIENCE) -> None:
        super().__init__(patience)
        self._keep: Any = (ctypes.c_char * SIZE).from_buffer(memory, offset)
        self._at: Any = ctypes.byref(self._keep)
        self._try: Any = _LIBRARY.pthread_mutex_trylock
        self._unlock: Any = _LIBRARY.pthread_mutex_unlock
        self._has = False

    def make(self) -> None:
        """Makes it, free, of zeros that nobody else looks at yet. Raises OSError."""
        attributes = ctypes.create_string_buffer(SIZE)
        library = _LIBRARY
        for done in (
            library.pthread_mutexattr_init(attributes),
            library.pthread_mutexattr_setpshared(attributes, 1),  # PTHREAD_PROCESS_SHARED
            library.pthread_mutexattr_setrobust(attributes, 1),  # PTHREAD_MUTEX_ROBUST
            library.pthread_mutex_init(self._at, attributes),
        ):
            if done:
                raise OSError(done, "there are no locks to be had in shared memory")

    def try_take(self) -> bool:
        done: int = self._try(self._at)
        if done == 0:
            self._has = True
            return True
        if done == _OWNER_DIED:
            _LIBRARY.pthread_mutex_consistent(self._at)
            self._has = True
            return True
        return False

    def free(self) -> None:
        self._has = False
        self._unlock(self._at)

    def close(self) -> None:
        if self._has:
            self.free()  # the list of what the thread has would point into what is there no more
        self._try = self._unlock = _closed
        self._keep = self._at = None  # the memory cannot be unmapped while anything points into it


def _closed(at: object) -> int:
    raise ValueError("the lock has been closed")
