"""Request logs of gateways that were only tried: the records that they would have written."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import orjson

from gateway.api.principal import Principal
from gateway.backtest.line import read
from gateway.backtest.recorded import UNKNOWN_PAST, Past, Recorded, Verdict
from gateway.backtest.run import Found, Question, backtest
from gateway.backtest.tally import Tally
from gateway.config.load import loads
from gateway.registry import Registry
from gateway.trial.given import Answer, Given, Identity
from gateway.trial.trial import Trial
from tests.support.gateway import configuration

NOW = 1_767_268_800.0
KEYSTONE: dict[str, Any] = {
    "token_auth": {
        "providers": [
            {"introspection": {"url": "http://idp.invalid/", "client_id": "a", "client_secret": "b"}}
        ]
    }
}


_AT_ONCE: Final = {"gateway.chain.in_ms": 0.0, "gateway.duration_ms": 0.0}
"""What filters and exchanges take is of another clock than the requests' own."""


class Asked(NamedTuple):
    """A request of a project, so many seconds after noon; of none, with a token that nobody knows."""

    at: float
    project: str = "p1"
    method: str = "GET"
    target: str = "/a"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def text_of(**options: Any) -> str:
    """A configuration in front of one upstream."""
    return configuration("http://upstream.invalid:1", **options)


def ended(worker: int, number: int, at: float) -> dict[str, Any]:
    """The last line of a worker of `logged`, so many seconds after noon."""
    told = datetime.fromtimestamp(NOW + at, UTC).isoformat()
    return {
        "timestamp": told,
        "kind": "end",
        "record_version": 2,
        "gateway.worker": worker,
        "gateway.since": NOW - 2,
        "gateway.sequence": number,
        "gateway.generation": 1,
    }


def marked(
    worker: int, number: int, at: float, workers: Sequence[int] = (0, 1), *, last: float = 0.0
) -> dict[str, Any]:
    """What a worker of `logged` says of its records, so many seconds after noon, and of who is at work; the last one was over so
    many seconds after noon."""
    return {
        **ended(worker, number, at),
        "kind": "mark",
        "gateway.workers": list(workers),
        **({"gateway.last": NOW + last} if number else {}),
    }


async def logged(text: str, requests: Sequence[Asked]) -> list[dict[str, Any]]:
    """The lines of the log of a gateway that was started just before: the plan's, and the records', as they come."""
    registry = Registry()
    trial = Trial(loads(text, "old.yaml", registry=registry), registry)
    await trial.start()
    lines: list[dict[str, Any]] = [
        {
            "timestamp": "2026-01-01T11:59:59.000Z",
            "kind": "plan",
            "gateway.revision": trial.plan.revision,
            "gateway.generation": 1,
            "gateway.plan": {**trial.plan.describe(), "since": NOW - 2},
        }
    ]
    try:
        for number, asked in enumerate(requests, 1):
            principal: Principal | None = None
            if asked.project:
                principal = Principal(
                    user_id=f"u-{asked.project}",
                    project_id=asked.project,
                    roles=("member",),
                    token_key=asked.project.encode().hex().ljust(32, "0"),
                )
            given = Given(
                asked.method,
                asked.target,
                (
                    ("X-Auth-Token", "t"),
                    *asked.headers,
                    *([("Content-Type", "application/json")] if asked.body else []),
                ),
                asked.body,
                identity=Identity(principal),
                wall=NOW + asked.at,
                answer=Answer(200),
            )
            outcome = await trial.run(given)
            lines.append({**outcome.record, "gateway.sequence": number, **_AT_ONCE})
    finally:
        await trial.close()
    return lines


_HASH: Final = re.compile(rb'"[0-9a-f]{32}"')


def of_workers(
    lines: Sequence[dict[str, Any]], whose: Sequence[int], keys: Sequence[str]
) -> list[dict[str, Any]]:
    """The lines of `logged` as workers would have written them whose numbers are given for each record; what tells the key of
    hashes apart is given for each worker. Hashes are others where the key is another than that of the first worker."""
    plan, *records = lines
    since = plan["gateway.plan"]["since"]
    told = [
        {**plan, "gateway.worker": worker, "gateway.plan": {**plan["gateway.plan"], "hashed_by": key}}
        for worker, key in enumerate(keys)
    ]
    numbers = [0 for _ in keys]
    for record, worker in zip(records, whose, strict=True):
        numbers[worker] += 1
        writer = {
            "gateway.worker": worker,
            "gateway.since": since,
            "gateway.sequence": numbers[worker],
        }
        text = orjson.dumps({**record, **writer})
        if keys[worker] != keys[0]:
            text = _HASH.sub(lambda hashed: hashed[0][::-1], text)
        told.append(orjson.loads(text))
    last = records[-1]["gateway.facts"]["clock"] - NOW
    return [*told, *(ended(worker, number, last) for worker, number in enumerate(numbers))]


def upgraded(
    lines: Sequence[dict[str, Any]], first: int, keys: Sequence[str] = ("a", "b")
) -> list[dict[str, Any]]:
    """The same where another worker has taken over behind so many records."""
    return of_workers(lines, [int(number >= first) for number in range(len(lines) - 1)], keys)


def recorded(fields: Mapping[str, Any], past: Past = UNKNOWN_PAST) -> Recorded:
    """What a line with these fields says."""
    return Recorded(read(orjson.dumps(fields)), past)


def written(lines: Sequence[dict[str, Any]], path: Path) -> Path:
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


class Judged(NamedTuple):
    """A back-test, and what it said of each record by its id: what was, and what would be."""

    found: Found
    verdicts: dict[str, tuple[Verdict, Verdict]]


def judged(text: str, *files: Path, **question: Any) -> Judged:
    """A back-test in this process."""
    verdicts: dict[str, tuple[Verdict, Verdict]] = {}
    add = Tally.add

    def heard(
        tally: Tally,
        at: float,
        request_id: str,
        asked: str,
        route: str,
        project: str,
        before: Verdict,
        after: Verdict,
    ) -> None:
        assert request_id not in verdicts, "an exchange was judged twice"
        verdicts[request_id] = before, after
        add(tally, at, request_id, asked, route, project, before, after)

    with mock.patch.object(Tally, "add", heard):
        found = backtest(Question(text, "new.yaml", Path(), **question), files, processes=1)
    return Judged(found, verdicts)
