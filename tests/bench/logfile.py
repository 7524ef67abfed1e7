"""A request log of any length, as a busy gateway would have written it: varied records, in rotated files.

The lines are the serializer's own, of some thousand records for each file; what no two records have in common (ids,
instants, durations, sizes) is put into copies of them. A file depends on nothing but its place in the log, so that files can
be made beside each other, and again.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from gateway.api import Note, Principal
from gateway.record import Peer, Record, Step
from gateway.serializer import Serializer
from tests.support.records import Entry, Facts, attempt, record, step

PROJECTS: Final = 4000
RATE: Final = 250.0
"""Records a second, of all workers."""
_BEGAN: Final = 1_790_000_000.0  # 2026-09-21
_WORKERS: Final = 4
_POOL: Final = 3000  # exchanges that differ in more than what each one has of its own
_BUFFERED: Final = 2000  # lines


class _Route(NamedTuple):
    """`share` of the requests, and the methods that they have; `writes` have a body."""

    name: str
    template: str
    share: int
    methods: str = "GET"


_ROUTES: Final = tuple(
    _Route(name, f"/v2.1/{{project_id}}/{rest}", share, methods)
    for name, rest, share, methods in (
        ("servers", "servers", 9, "GET GET GET POST"),
        ("servers-detail", "servers/detail", 22, "GET"),
        ("server", "servers/{server_id}", 19, "GET GET GET GET PUT DELETE"),
        ("server-action", "servers/{server_id}/action", 5, "POST"),
        ("server-metadata", "servers/{server_id}/metadata", 4, "GET GET PUT POST"),
        ("server-ips", "servers/{server_id}/ips", 3, "GET"),
        ("server-volumes", "servers/{server_id}/os-volume_attachments", 4, "GET GET POST DELETE"),
        ("server-interfaces", "servers/{server_id}/os-interface", 3, "GET GET POST DELETE"),
        ("server-groups", "os-server-groups", 1, "GET POST DELETE"),
        ("images", "images", 6, "GET"),
        ("image", "images/{image_id}", 5, "GET GET DELETE"),
        ("image-metadata", "images/{image_id}/metadata", 6, "GET GET POST PUT"),
        ("flavors", "flavors/detail", 5, "GET"),
        ("flavor", "flavors/{flavor_id}", 2, "GET"),
        ("keypairs", "os-keypairs", 2, "GET POST DELETE"),
        ("limits", "limits", 2, "GET"),
        ("quotas", "os-quota-sets/{quota_id}", 1, "GET PUT"),
        ("zones", "os-availability-zone", 1, "GET"),
    )
)


class _Outcome(NamedTuple):
    """What becomes of `share` in a thousand requests; `filter` is the one that refused."""

    share: int
    decision: str
    reason: str
    status: int
    filter: str = ""


_OUTCOMES: Final = (
    _Outcome(858, "forward", "passed", 200),
    _Outcome(38, "forward", "passed", 202),
    _Outcome(28, "forward", "passed", 404),
    _Outcome(8, "forward", "passed", 409),
    _Outcome(3, "forward", "passed", 500),
    _Outcome(27, "refuse", "rate_limited", 413, "rate_limit"),
    _Outcome(15, "refuse", "token_invalid", 401, "token_auth"),
    _Outcome(7, "refuse", "token_expired", 401, "token_auth"),
    _Outcome(3, "refuse", "token_missing", 401, "token_auth"),
    _Outcome(6, "refuse", "method_not_allowed", 405, "methods"),
    _Outcome(3, "fail", "upstream_first_byte_timeout", 504),
    _Outcome(2, "fail", "upstream_connect_failed", 502),
    _Outcome(2, "abort", "client_disconnected", 0),
)
_CHAIN: Final = tuple(
    Entry(name, index=index, line=line)
    for index, (name, line) in enumerate(
        (
            ("token_auth", 21),
            ("rate_limit", 34),
            ("methods", 71),
        )
    )
)
_ACCEPTED: Final = Note("token_accepted", ("providers", 0), {"cached": True})
_SHADOW: Final = Entry("rate_limit-tighter", "rate_limit", "shadow", len(_CHAIN), 88)
_AGENTS: Final = (
    b"python-novaclient",
    b"openstacksdk/4.4.0 keystoneauth1/5.10.0 python-requests/2.32.3 CPython/3.12.3",
    b"Terraform/1.9.5 (+https://www.terraform.io) terraform-provider-openstack/3.0.0 gophercloud/v2.4.0",
    b"Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
)
_FACTS: Final = Facts(
    (b"x-auth-token", b"content-type"),
    frozenset((b"x-auth-token",)),
    "5d0c1e1f7a2b4c8f9a3e6d7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f70819",
)


_SHADOWED: Final = 0.03  # share of requests that the filter in shadow would have refused


# What stands in a line for what is put in there, and in no line for anything else.
_ID: Final = "req-7e57da7a-0000-4000-8000-0000000000aa"
_UPSTREAM_ID: Final = "req-7e57da7a-0000-4000-8000-0000000000bb"
_WALL: Final = 1_111_111_111.25
_SIZE: Final = 7_770_000_123
_SEQUENCE: Final = 7_770_000_456
_DURATION, _CHAIN_IN, _CHAIN_OUT, _FIRST_BYTE, _TOTAL = (
    77_001.011,
    77_002.011,
    77_003.011,
    77_004.011,
    77_024.022,
)
_HOLES: Final[Mapping[str, bytes]] = {
    "timestamp": b"2005-03-18T01:58:31.250Z",
    "clock": b"1111111111.250000",
    "request_id": _ID.encode(),
    "upstream_id": _UPSTREAM_ID.encode(),
    "duration": b"77001011.000",
    "chain_in": b"77002011.000",
    "chain_out": b"77003011.000",
    "first_byte": b"77004011.000",
    "body": b"20011.000",
    "total": b"77024022.000",
    "size": b"%d" % _SIZE,
    "sequence": b"%d" % _SEQUENCE,
}
_HOLE: Final = re.compile(
    b"|".join(b"(?P<%b>%b)" % (name.encode(), re.escape(text)) for name, text in _HOLES.items())
)


class _Form(NamedTuple):
    """A line with holes: `%b` for each of `names`; `forwarded` where it tells of an attempt."""

    text: bytes
    names: Sequence[str]
    forwarded: bool


def write(path: Path, first: int, count: int) -> None:
    """Writes so many records, oldest first, of a log that has `first` records before them."""
    with path.open("wb") as stream:
        lines = islice(_lines(first), count)
        while batch := b"".join(islice(lines, _BUFFERED)):
            stream.write(batch)


def project(number: int) -> str:
    """The id of one of the projects; those with low numbers have the most requests."""
    return f"{random.Random(number).getrandbits(128):032x}"


def _lines(first: int) -> Iterator[bytes]:
    chance = random.Random(first)
    forms = list(_forms(chance))
    sequences = [first] * _WORKERS
    wall = _BEGAN + first / RATE
    while True:
        place = int(chance.random() * _POOL)
        worker = place % _WORKERS
        sequences[worker] += 1
        wall += chance.expovariate(RATE)
        form = forms[place]
        values = _values(chance, wall, sequences[worker], form.forwarded)
        yield form.text % tuple([values[name] for name in form.names])


def _forms(chance: random.Random) -> Iterator[_Form]:
    serializers = [Serializer(b"inspection", worker) for worker in range(_WORKERS)]
    for place, told in enumerate(_pool(chance)):
        names: list[str] = []

        def hole(match: re.Match[bytes], names: list[str] = names) -> bytes:
            names.append(str(match.lastgroup))
            return b"%b"

        line = serializers[place % _WORKERS].line(told, _SEQUENCE)
        yield _Form(_HOLE.sub(hole, line.replace(b"%", b"%%")), names, bool(told.attempts))


def _values(chance: random.Random, wall: float, sequence: int, forwarded: bool) -> Mapping[str, bytes]:
    """What no two records have in common."""
    chain_in = 0.08 + chance.random() * 0.3
    total = min(60_000.0, chance.lognormvariate(3.7, 1.1)) if forwarded else 0.0
    second, micro = divmod(int(wall * 1e6), 1_000_000)
    return {
        "timestamp": b"%b.%03dZ" % (_second(second), micro // 1000),
        "clock": b"%d.%06d" % (second, micro),
        "request_id": b"req-%b" % _uuid(chance),
        "upstream_id": b"req-%b" % _uuid(chance),
        "duration": b"%.3f" % (chain_in + total + 0.03),
        "chain_in": b"%.3f" % chain_in,
        "chain_out": b"0.030",
        "first_byte": b"%.3f" % (total * 0.97),
        "body": b"%.3f" % (total * 0.03),
        "total": b"%.3f" % total,
        "size": b"%d" % (200 + int(chance.paretovariate(1.2) * 600)),
        "sequence": b"%d" % sequence,
    }


@lru_cache(maxsize=4)
def _second(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _pool(chance: random.Random) -> Iterator[Record]:
    projects = [project(number) for number in range(PROJECTS)]
    weights = [1 / (number + 3) for number in range(PROJECTS)]
    routes = chance.choices(_ROUTES, [route.share for route in _ROUTES], k=_POOL)
    outcomes = chance.choices(_OUTCOMES, [outcome.share for outcome in _OUTCOMES], k=_POOL)
    for route, outcome, owner in zip(
        routes, outcomes, chance.choices(projects, weights, k=_POOL), strict=True
    ):
        yield _exchange(chance, route, outcome, owner)


def _exchange(chance: random.Random, route: _Route, outcome: _Outcome, owner: str) -> Record:
    known = outcome.filter != "token_auth"
    user = f"{random.Random(owner + str(chance.randrange(3))).getrandbits(128):032x}"
    principal = Principal(user, project_id=owner, roles=("member", "reader"))
    params = {"project_id": owner, "server_id": _uuid(chance).decode(), "image_id": _uuid(chance).decode()}
    params = {**params, "flavor_id": str(chance.randrange(1, 40)), "quota_id": owner}
    target = route.template.format_map(params)
    method = chance.choice(route.methods.split())
    if route.name == "servers-detail":
        target += f"?limit={chance.choice((20, 50, 1000))}&marker={_uuid(chance).decode()}"
    endpoint = f"10.0.0.{chance.randrange(11, 19)}:8774"
    client = f"198.51.{chance.randrange(100)}.{chance.randrange(1, 255)}"
    forwarded = outcome.decision != "refuse"
    steps = list(_steps(chance, outcome, owner))
    told = record(
        method=method,
        target=target.encode(),
        host="compute.example.org:8774",
        scheme="https",
        client=client,
        route_name=route.name,
        route_template=route.template,
        principal=principal if known else None,
        request_lines=_section(chance, method),
        steps=steps,
        decision=outcome.decision,
        reason=outcome.reason,
        status=outcome.status,
        decider=steps[-1] if outcome.filter else None,
        attempts=_attempts(outcome, endpoint) if forwarded else (),
        bytes_in=chance.randrange(120, 900) if method in ("POST", "PUT") else 0,
        bytes_out=chance.randrange(90, 160) if outcome.status >= 400 else _SIZE,
        request_id=_ID,
        wall=_WALL,
        duration=_DURATION,
        chain_in=_CHAIN_IN,
        chain_out=_CHAIN_OUT,
        upstream_request_id=_UPSTREAM_ID if forwarded else None,
    )
    told.plan = _FACTS
    told.peer = Peer("10.0.1.5", chance.randrange(20_000, 60_000), "https", tls="1.3")
    return told


def _attempts(outcome: _Outcome, endpoint: str) -> Sequence[object]:
    error = outcome.reason if outcome.decision == "fail" else None
    answered = error is None and outcome.status
    return [
        attempt(
            upstream="compute",
            address=endpoint,
            reused=True,
            status=outcome.status if answered else 0,
            error=error,
            connect=None,
            first_byte=_FIRST_BYTE if answered else None,
            total=_TOTAL,
        )
    ]


def _steps(chance: random.Random, outcome: _Outcome, owner: str) -> Iterator[Step]:
    for entry in _CHAIN:
        seconds = chance.uniform(0.000002, 0.00008)
        if entry.name == outcome.filter:
            facts = {"limit": "writes", "key": {"project_id": owner}, "reset": 12.5}
            limited = outcome.reason == "rate_limited"
            yield step(
                entry,
                "refuse",
                outcome.reason,
                rule=("limits", 2) if limited else (),
                status=outcome.status,
                seconds=seconds,
                facts=facts if limited else None,
            )
            return
        note = (_ACCEPTED,) if entry.name == "token_auth" else ()
        cells = {"cells": [[chance.randrange(100, 900), 0.0, 1.0]]} if entry.name == "rate_limit" else None
        yield step(entry, seconds=seconds, note=note, facts=cells)
    if chance.random() < _SHADOWED:
        yield step(_SHADOW, "refuse", "rate_limited", status=413, seconds=0.00002)


def _section(chance: random.Random, method: str) -> Sequence[tuple[bytes, bytes]]:
    lines = [
        (b"Host", b"compute.example.org:8774"),
        (b"User-Agent", chance.choice(_AGENTS)),
        (b"Accept", b"application/json"),
        (b"X-Auth-Token", b"gAAAAAB%0170x" % chance.getrandbits(600)),
    ]
    if method in ("POST", "PUT"):
        lines.append((b"Content-Type", b"application/json"))
    return lines


def _uuid(chance: random.Random) -> bytes:
    text = b"%032x" % chance.getrandbits(128)
    return b"%b-%b-4%b-a%b-%b" % (text[:8], text[8:12], text[13:16], text[17:20], text[20:])
