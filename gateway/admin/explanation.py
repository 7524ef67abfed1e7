"""What would become of a request, found out in a process of its own: what is asked comes on standard input as JSON, the answer
goes to standard output as JSON. It takes a whole plan, and to build one is work that no gateway should do beside its own.
"""

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from gateway import application_log
from gateway.admin.source import masked
from gateway.config.load import Loaded, loads
from gateway.config.problem import ConfigurationError
from gateway.registry import Registry
from gateway.trial.case import Circumstances, given_of
from gateway.trial.report import Sources, as_json, as_text
from gateway.trial.trial import NoSuchLimit, Trial, TrialError


def question(loaded: Loaded, said: Circumstances) -> bytes:
    """What `main` reads."""
    told = {
        "text": loaded.text.decode("utf-8-sig"),
        "file": loaded.marks.file,
        "directory": str(loaded.directory),
        "given": said.model_dump(exclude_unset=True),
    }
    return json.dumps(told).encode()  # a body may hold any number


def main() -> None:
    """The exit status is 1 where the request cannot be tried, 2 where what is said of it cannot be; standard error says why."""
    application_log.configure(logging.ERROR)
    try:
        answer = asyncio.run(_tried(json.loads(sys.stdin.buffer.read())))
    except NoSuchLimit as error:
        print(f"Error: counters: {error}", file=sys.stderr)
        sys.exit(2)
    except (ConfigurationError, TrialError, ValueError) as error:
        sys.exit(f"Error: {error}")
    sys.stdout.buffer.write(orjson.dumps(answer))


async def _tried(asked: Any) -> dict[str, Any]:
    registry = Registry()
    loaded = loads(asked["text"], asked["file"], registry=registry, directory=Path(asked["directory"]))
    given = given_of(Circumstances.model_validate({"clock": time.time(), **asked["given"]}), 0.0)
    trial = Trial(loaded, registry)
    await trial.start()
    try:
        outcome = await trial.run(given)
    finally:
        await trial.close()
    redaction = trial.plan.redaction
    told = [line._asdict() for line in as_text(outcome, Sources(masked(loaded).encode()), redaction)]
    return {**as_json(outcome, redaction), "text": told}
