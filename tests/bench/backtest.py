"""What a back-test takes of one record, in a process of its own that does nothing else.

    python -m tests.bench.backtest backtest-other --records 200000

First the log is made, by a chain of six filters that judges each request and by the serializer of the request log; that is not
counted. Then it is judged, by one process: its reading included, and all that tells of the outcome.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import yaml

from gateway.api import Exchange, Fault, Instant
from gateway.api.body import Body
from gateway.api.exchange import Request
from gateway.api.verdict import Response
from gateway.backtest.recorded import UNDECIDABLE
from gateway.backtest.run import Found, Question, backtest
from gateway.backtest.tally import NEWLY_REFUSED, UNCHANGED
from gateway.chain import Run
from gateway.config.load import loads
from gateway.http.fields import Fields
from gateway.plan import Plan, build_plan
from gateway.record import Peer, Received, Record
from gateway.registry import Registry
from gateway.serializer import Serializer
from tests.bench.alone import Mark, Told, tell
from tests.support.records import attempt

RECORDS: Final = 200_000
SAME: Final = "backtest-same"
OTHER: Final = "backtest-other"
ROWS: Final = (SAME, OTHER)
"""By the configuration that made the log; by one with another rate and fewer methods."""

_RATE: Final = 100.0
"""Requests a second."""
_CALLERS: Final = 100
_BEGAN: Final = 1_790_000_000.0  # 2026-09-21
_MONOTONIC: Final = 5000.0
"""Where the clock that limits count by was then."""
_METHODS: Final = ("GET",) * 14 + ("POST",) * 4 + ("PUT", "DELETE")
_AGENT: Final = b"python-novaclient"


def configuration(*, other: bool = False) -> str:
    """A chain of `token_auth`, `rate_limit` with two limits, `methods`, `uuid`, `body_size` and `content_type`."""
    tokens = [
        {
            "token": _token(number),
            "user_id": _id(f"user {number}"),
            "project_id": _id(f"project {number}"),
            "roles": ["member", "reader"],
        }
        for number in range(_CALLERS)
    ]
    limits = [
        {"name": "all", "rate": "40/minute" if other else "60/minute", "burst": 20, "key": ["project_id"]},
        {"name": "writes", "rate": "600/minute", "key": ["user_id"], "algorithm": "fixed_window"},
    ]
    allowed = ["GET", "POST"] if other else ["GET", "POST", "PUT"]
    document: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "admin": None,
        "upstreams": {"compute": {"endpoints": ["http://127.0.0.1:8774"]}},
        "log": {"path": None},
        "filters": [
            {"token_auth": {"providers": [{"static": {"tokens": tokens}}]}},
            {"rate_limit": {"limits": limits}},
        ],
        "routes": [
            {
                "name": f"image-{leaf}",
                "path": f"/v2/{{project_id}}/images/{{image_id}}/{leaf}",
                "upstream": "compute",
                "filters": [
                    {"methods": {"name": f"methods-{leaf}", "allow": allowed}},
                    {"uuid": {"name": f"uuid-{leaf}", "params": ["image_id"]}},
                    {"body_size": {"name": f"body_size-{leaf}", "max": "112KiB"}},
                    {"content_type": {"name": f"content_type-{leaf}", "allow": ["application/json"]}},
                ],
            }
            for leaf in ("metadata", "members", "tags", "file")
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(path: Path, count: int) -> None:
    """Writes so many records of a gateway that has just begun, oldest first."""
    plan, serializer = _plan(), Serializer(b"bench" * 8, 0, _BEGAN - 2)
    described = {**plan.describe(), "since": _BEGAN - 2}
    with path.open("wb") as stream:
        stream.write(serializer.plan(plan.revision, described, _BEGAN - 1, begins=True))
        for number, record in enumerate(_records(plan, count), 1):
            stream.write(serializer.line(record, number))


def _plan() -> Plan:
    registry = Registry()
    return build_plan(
        loads(configuration(), "gateway.yaml", registry=registry), registry, hash_key=b"bench" * 8
    )


def _records(plan: Plan, count: int) -> Iterator[Record]:
    chance = random.Random(7)
    wall = _BEGAN
    for _ in range(count):
        wall += chance.expovariate(_RATE)
        number = int(chance.random() * chance.random() * _CALLERS)  # some ask far more than others
        image = f"{chance.getrandbits(32):08x}-{chance.getrandbits(16):04x}-4a0b-9c0d-{chance.getrandbits(48):012x}"
        leaf = chance.choice(("metadata", "members", "tags", "file"))
        target = f"/v2/{_id(f'project {number}')}/images/{image}/{leaf}"
        yield _judged(plan, chance, number, chance.choice(_METHODS), target, wall)


def _judged(plan: Plan, chance: random.Random, number: int, method: str, target: str, wall: float) -> Record:
    """What becomes of a request, as the gateway would tell of it."""
    size = chance.randrange(120, 900) if method in ("POST", "PUT") else 0
    client = f"198.51.100.{number + 1}"
    host = "compute.example.org:8774"
    lines = [
        (b"Host", host.encode()),
        (b"User-Agent", _AGENT),
        (b"Accept", b"application/json"),
        (b"X-Auth-Token", _token(number).encode()),
    ]
    if size:
        lines += [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % size)]
    planned, params, _, _ = plan.router.match(host, target, method)
    assert planned is not None
    exchange = Exchange(
        *(method, target.encode(), target, None, "http", host, "10.0.1.5", client, "1.1"),
        f"req-{chance.getrandbits(32):08x}-2b71-4f0e-8a55-{chance.getrandbits(48):012x}",
        Instant(wall, wall - _BEGAN + _MONOTONIC),
        Request(Fields(lines), Body(None, size) if size else Body()),
        planned.info,
        params,
    )
    run = Run(planned.chain, exchange, _rendered, _bug)
    verdict = run.inward()
    record = Record()
    record.exchange, record.plan, record.guards = exchange, plan, run.guards
    record.received = Received(lines)
    record.peer = Peer("10.0.1.5", 40_000 + number, "http")
    record.chain_in, record.duration, record.bytes_in = 0.00011, 0.0341, size
    if isinstance(verdict, Fault):
        record.decision, record.reason, record.status = "refuse", verdict.reason, verdict.status
        record.decider, record.bytes_out = run.decider, 120
    else:
        record.decision, record.status, record.bytes_out = "forward", 200, 870
        record.attempts = (attempt(reused=True, first_byte=0.031, total=0.033),)
    return record


def _rendered(fault: Fault, exchange: Exchange) -> Response:
    raise AssertionError("no filter looks at answers")


def _bug(where: str, exchange: Exchange, error: BaseException) -> None:
    raise error


def _token(number: int) -> str:
    return f"{random.Random(f'token {number}').getrandbits(512):0128x}"


def _id(whose: str) -> str:
    return f"{random.Random(whose).getrandbits(128):032x}"


def measured(name: str, path: Path, seconds: float) -> Told:
    """Judges the log again and again for that time; at least once."""
    question = Question(configuration(other=name == OTHER), "gateway.yaml", path.parent)
    judged, began = 0, Mark.now()
    while True:
        found = backtest(question, [path], processes=1)
        judged += found.tally.total
        if time.monotonic() >= began.wall + seconds:
            break
    told = began.told(judged)
    _check(name, found)
    return told


def _check(name: str, found: Found) -> None:
    counts = found.tally.counts
    plausible = not found.skipped and not counts[UNDECIDABLE]
    if name == SAME:
        plausible = plausible and counts[UNCHANGED] == found.tally.total
    else:
        plausible = plausible and min(counts[UNCHANGED], counts[NEWLY_REFUSED]) > found.tally.total // 100
    if not plausible:
        raise RuntimeError(f"{name}: {dict(counts)} of {found.tally.total}, {found.skipped} lines skipped")


@click.command()
@click.argument("name", type=click.Choice(ROWS))
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--records", default=RECORDS, show_default=True, help="How many the log has.")
@click.option("--log", type=click.Path(path_type=Path), help="Where it is kept; one that is there is taken.")
def main(name: str, seconds: float, records: int, log: Path | None) -> None:
    """Prints how many records were judged, and the seconds and CPU seconds that it took."""
    with tempfile.TemporaryDirectory(prefix="weir-backtest-bench-") as directory:
        path = log or Path(directory) / "requests.log"
        if not path.exists():
            write(path, records)
        tell(measured(name, path, seconds))


if __name__ == "__main__":
    main()
