"""The application log: start, reload, workers, upstreams, bugs; not the requests, which have a log of their own."""

import logging
import sys
from typing import Any


def configure(least: int = logging.INFO) -> None:
    """It goes to standard error: JSON lines, or readable ones on a terminal; what is of less than level `least` does not."""
    import structlog

    terminal = sys.stderr.isatty()
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if terminal:
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(least),
    )
