"""The files of a log as they are at one instant, held open: whoever reads them sees that log, and the whole of it, however
files are renamed, compressed and removed meanwhile.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from gateway.inspect.reader import Form, files, form_of
from gateway.inspect.sidecar import sidecar_of

_LOOKS: Final = 20
"""Times that the files are opened at most while they are renamed: once each rotation, or compression, of one of them."""


class Held(NamedTuple):
    """A file that is held open, by the path under which it can be opened whatever its name is now.

    form  how its lines are compressed; None of a sidecar
    """

    path: str
    form: Form | None


class Snapshot:
    """The files of the log at `path`; of those that have a sidecar that one, and the others themselves.

    `since`, in seconds since the epoch, leaves out what nobody has written to from then on. Raises OSError.
    """

    def __init__(self, path: Path, since: float | None = None) -> None:
        self.held: Sequence[Held] = ()
        for _ in range(_LOOKS):
            self._stack = ExitStack()
            before = _places(path)
            try:
                self.held = list(self._open(path, since))
            except FileNotFoundError:
                self._stack.close()
                continue
            except BaseException:
                self._stack.close()
                raise
            if _places(path) == before:
                return
            self._stack.close()
        raise FileNotFoundError(2, "its files are renamed again and again", str(path))

    def __enter__(self) -> "Snapshot":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """The paths lead nowhere any more."""
        self._stack.close()

    def _open(self, path: Path, since: float | None) -> Iterator[Held]:
        for file in files(path):
            if since is not None and file.stat().st_mtime < since:
                continue
            sidecar = sidecar_of(path, file) if file != path else None
            if sidecar is not None and sidecar.exists():
                yield Held(self._hold(sidecar), None)
            else:
                yield Held(self._hold(file), form_of(file))

    def _hold(self, file: Path) -> str:
        descriptor = os.open(file, os.O_RDONLY)
        self._stack.callback(os.close, descriptor)
        return f"/proc/self/fd/{descriptor}"


def _places(path: Path) -> Sequence[tuple[str, int]]:
    """Names and inodes: while they are the same, nothing has been renamed."""
    found = []
    for file in files(path):
        try:
            found.append((file.name, file.stat().st_ino))
        except FileNotFoundError:
            found.append((file.name, 0))
    return found
