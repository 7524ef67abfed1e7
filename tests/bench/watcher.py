"""Somebody who has the page open: takes its live events, and does nothing with them.

python -m tests.bench.watcher 9901
"""

import http.client
import subprocess
import sys
from types import TracebackType

from tests.bench.server import StartError

_READY = b"watching"


class Watcher:
    """A process that watches until the end of the block. Raises StartError where there is nothing to be seen."""

    def __init__(self, command: list[str]) -> None:
        self._command = command

    def __enter__(self) -> "Watcher":
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != _READY:
            self.stop()
            raise StartError(f"{' '.join(self._command)} sees no events")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
    connection.request("GET", "/live")
    answer = connection.getresponse()
    if answer.status != 200 or not answer.readline():
        raise SystemExit(1)
    print(_READY.decode(), flush=True)
    while answer.readline():
        pass


if __name__ == "__main__":
    main()
