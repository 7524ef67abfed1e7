"""What is done with log files that are closed: they get their sidecars, and are compressed then.

For a process of its own with the lowest priority.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.inspect import compression, sidecar
from gateway.inspect.compression import SUFFIX, Method

NONE: Final = "-"


def keep_up(path: Path, now: float, *, sidecars: bool, compress: Method | None) -> None:
    """Does all that is to be done with the files of the log at `path`; `now` is in seconds since the epoch.

    Where one of the two fails the other is done all the same. Raises OSError and MissingExtra.
    """
    try:
        if sidecars:
            sidecar.make_all(path, now)
    finally:
        if compress is not None:
            compression.compress_all(path, compress, now)


def main() -> None:
    """`python -m gateway.inspect.upkeep LOG sidecars|- zstd|gzip|-`: as `keep_up`, with the lowest priority."""
    os.nice(19)
    path, sidecars, method = Path(sys.argv[1]), sys.argv[2] == "sidecars", sys.argv[3]
    chosen: Method | None = next((known for known in SUFFIX if known == method), None)
    with suppress(FileNotFoundError):  # the log is gone, or being moved: the next time
        keep_up(path, time.time(), sidecars=sidecars, compress=chosen)


if __name__ == "__main__":
    main()
