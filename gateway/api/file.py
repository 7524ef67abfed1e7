"""Files that a configuration, or what it names, names in its turn: regular ones alone, and of a bounded size.

A device, a pipe or a socket may never end, or have the reader wait for ever.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 64 << 20


def read_regular(path: Path, most: int = MAX_BYTES) -> bytes:
    """The content of a regular file of at most so many bytes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(most + 1)
    finally:
        os.close(descriptor)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
    return data


def hold_beside(path: Path, beside: Path) -> None:
    """Raises OSError where a path leads, by symbolic links too, out of the directory that the file `beside` is in."""
    if not path.resolve().is_relative_to(beside.parent.resolve()):
        raise OSError(errno.EACCES, f"it leads out of the directory of {beside.name}", str(path))
