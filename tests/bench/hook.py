"""What one call of a filter's hook costs, in a process of its own that does nothing else.

    python -m tests.bench.hook token-cached --seconds 2

Each call is given a request that has not been touched. What that takes is measured too, as the hook `none`, and is to be
subtracted.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from filters.rate_limit.algorithm import FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.shared import SharedStore
from filters.rate_limit.store import Charge
from filters.token_auth import TokenAuth
from gateway.api import Exchange, Principal
from gateway.api.testing import build, exchange
from gateway.http.fields import Fields
from gateway.shared.memory import SharedMemory
from gateway.shared.permit import SharedPermits
from gateway.shared.table import SharedTable
from tests.bench import proc
from tests.bench.sample import Sample
from tests.bench.wrk import LoadError

_TOKEN: Final = "f064c46a782c444cb4ba4b6434288f7c"
_LINES: Final = (
    (b"Host", b"api.example.test"),
    (b"User-Agent", b"openstacksdk/4.2.0 keystoneauth1/5.9.0"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"Accept", b"application/json"),
    (b"Connection", b"keep-alive"),
    (b"X-Auth-Token", _TOKEN.encode()),
)
_CALLS: Final = 1000  # between two looks at the clock

NONE: Final = "none"

Hook = Callable[[Exchange], Any]


def _token_cached() -> Hook:
    user = {
        "token": _TOKEN,
        "user": "ann",
        "user_id": "u1",
        "project_id": "p1",
        "roles": ["member", "reader"],
    }
    return build(TokenAuth, {"providers": [{"static": {"tokens": [user]}}]}).on_request


def _limits_decided() -> Hook:
    """A decision by four limits of all kinds in memory that workers share."""
    store = SharedStore(SharedTable(SharedMemory.create().claim("limits", "limits")))
    most = 10**9
    kinds = (
        Gcra(most, 60.0, most),
        FixedWindow(most, 60.0),
        SlidingWindow(most, 60.0),
        Gcra(most, 1.0, most),
    )
    charges: list[Charge] = [(number, kind, f"key {number}", 1) for number, kind in enumerate(kinds)]

    def decide(exchange: Exchange) -> None:
        store.decide(charges, exchange.clock.monotonic)

    return decide


def _permit() -> Hook:
    """A permit of one key in memory that workers share, taken and given back."""
    memory = SharedMemory.create()
    permits = SharedPermits(memory.claim("permits", "permits"), memory)
    demands = [(permits.place(b"key"), 100)]

    def hold(exchange: Exchange) -> None:
        permits.claim(demands).release()

    return hold


HOOKS: Final[dict[str, Callable[[], Hook | None]]] = {
    NONE: lambda: None,
    "token-cached": _token_cached,
    "limits-decided": _limits_decided,
    "permit": _permit,
}
"""By name: what makes a hook ready to be called."""


def measured(name: str, seconds: float) -> tuple[int, float]:
    """Calls in that time, and CPU seconds that they took."""
    hook = HOOKS[name]()
    made = exchange(principal=Principal(user_id="u1", project_id="p1"))
    request = made.request
    given = Fields(_LINES)
    given.index()  # as whoever has found the route has made it
    request.headers = given.copy()
    if hook is not None and hook(made) is not None:
        raise RuntimeError(f"{name}: the request does not pass")
    calls, began = 0, time.process_time()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(_CALLS):
            request.headers = given.copy()
            made.trail = []
            if hook is not None:
                hook(made)
        calls += _CALLS
    return calls, time.process_time() - began


def take(command: Sequence[str], name: str, core: int, *, number: int, seconds: int) -> Sample:
    """Measures a hook by `command`, which is this module on that core. Raises LoadError."""
    began, before = time.monotonic(), proc.core_time(core)
    done = subprocess.run(
        [*command, name, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    after, span = proc.core_time(core), time.monotonic() - began
    if done.returncode:
        raise LoadError(f"{name}: {done.stderr.strip().splitlines()[-1:]}")
    told = json.loads(done.stdout)
    return Sample(
        row=name,
        round=number,
        requests=told["calls"],
        rps=told["calls"] / told["wall"],
        cpu_us=told["cpu"] / told["calls"] * 1e6,
        user_us=told["cpu"] / told["calls"] * 1e6,
        system_us=0.0,
        p50_ms=0.0,
        p99_ms=0.0,
        rss_mib=0.0,
        errors=0,
        unexpected=0,
        foreign=max(0.0, after.busy - before.busy - told["process"]) / span,
        steal=(after.steal - before.steal) / span,
    )


@click.command()
@click.argument("name", type=click.Choice(list(HOOKS)))
@click.option("--seconds", default=2.0, show_default=True)
def main(name: str, seconds: float) -> None:
    """Prints how often the hook was called, the seconds and CPU seconds that it took, and the CPU seconds of the process."""
    measured(name, 0.2)
    began = time.monotonic()
    calls, cpu = measured(name, seconds)
    wall = time.monotonic() - began
    json.dump({"calls": calls, "wall": wall, "cpu": cpu, "process": time.process_time()}, sys.stdout)


if __name__ == "__main__":
    main()
