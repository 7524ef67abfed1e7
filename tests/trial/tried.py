"""A trial of a configuration that a test writes down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.config.load import loads
from gateway.registry import Registry
from gateway.trial.given import Answer, Given
from gateway.trial.outcome import Outcome
from gateway.trial.trial import Trial
from tests.support.gateway import configuration

NOW = 1_767_268_800.0
OK = Answer(200, (("Content-Type", "text/plain"),), b"ok")


def given(method: str = "GET", target: str = "/a", **options: Any) -> Given:
    """A request at noon, which the upstream answers with 200."""
    return Given(method, target, **{"wall": NOW, "answer": OK, **options})


@asynccontextmanager
async def tried(
    text: str | None = None, *, registry: Registry | None = None, **options: Any
) -> AsyncIterator[Trial]:
    """A trial of `text`, or of a gateway in front of one upstream with `options` over what is usual."""
    registry = registry or Registry()
    text = configuration("http://upstream.invalid:1", **options) if text is None else text
    trial = Trial(loads(text, "gateway.yaml", registry=registry), registry)
    await trial.start()
    try:
        yield trial
    finally:
        await trial.close()


async def outcome(request: Given, **options: Any) -> Outcome:
    """What becomes of one request under a configuration with `options`."""
    async with tried(**options) as trial:
        return await trial.run(request)
