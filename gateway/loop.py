"""The event loop of processes that carry exchanges: uvloop's, where there is one for the platform."""

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes event loops, for `asyncio.Runner`."""
    try:
        import uvloop
    except ImportError:  # a platform without it
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
