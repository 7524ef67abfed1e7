"""Further files of the request log, in other forms: made of its lines in the writer's thread, never by a request."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog

from gateway.ecs import document
from gateway.line_format import COMBINED, LineFormat
from gateway.request_log import LogFile
from gateway.serializer import safe

Line = Callable[[Mapping[str, Any]], bytes]

MOST: Final = 10_000
"""Lines that wait while the file cannot be written; more are dropped."""
_BATCH: Final = 256 * 1024


def _ecs(fields: Mapping[str, Any]) -> bytes:
    return safe(orjson.dumps(document(fields), option=orjson.OPT_APPEND_NEWLINE))


class LogCopy:
    """A file with a line for each record, rotated by size as the log itself.

    text  `combined`, `ecs` or a format
    """

    def __init__(self, path: str, text: str, max_size: int, max_files: int) -> None:
        self._path = path
        self._line: Line = _ecs
        if text != "ecs":
            self._line = LineFormat(COMBINED if text == "combined" else text).line
        self._max_size = max_size
        self._max_files = max_files
        self._batch = max(1, min(_BATCH, max_size // 4)) if max_size else _BATCH
        self._file: LogFile | None = None
        self._failing = False
        self.dropped = 0
        """Lines that were not written."""

    def open(self) -> None:
        """Raises OSError when the file cannot be opened."""
        self._file = LogFile(self._path, self._max_size, self._max_files)

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Writes the lines of these records. Raises nothing: what cannot be written waits, and is dropped if there is too much."""
        file = self._file
        if file is None:
            return
        if file.pending + len(records) > MOST and not self._written(b""):
            self.dropped += len(records)
            return
        lines: list[bytes] = []
        size = 0
        for fields in records:
            try:
                line = self._line(fields)
            except Exception as error:  # noqa: BLE001 - an odd record must not silence the log
                self.dropped += 1
                _warn("log_copy_line_failed", path=self._path, error=repr(error))
                continue
            if size + len(line) > self._batch and lines:
                self._written(b"".join(lines))
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        self._written(b"".join(lines))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self.dropped += file.pending
            file.close()

    def _written(self, lines: bytes) -> bool:
        assert self._file is not None
        try:
            self._file.append(lines)
        except OSError as error:
            if not self._failing:
                _warn("log_copy_failing", path=self._path, error=error.strerror)
            self._failing = True
            return False
        if self._failing:
            _warn("log_copy_recovered", path=self._path, dropped=self.dropped)
        self._failing = False
        return True


def _warn(event: str, **facts: object) -> None:
    structlog.get_logger("gateway.record").warning(event, **facts)
