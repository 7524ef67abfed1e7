"""What one call of a filter's hook costs, in a process of its own that does nothing else.

    python -m tests.bench.hook token-cached --seconds 2

Each call is given a request that has not been touched. What that takes is measured too, as the hook `none`, and is to be
subtracted. A name that ends with `-anew` is of requests whose header section has never come before; to be subtracted is
`none-anew` there.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from filters.api import Api
from filters.token_auth import TokenAuth
from gateway.api import Exchange, Principal
from gateway.api.testing import FrozenServices, build, exchange
from gateway.http.fields import Fields
from gateway.shared.memory import SharedMemory
from gateway.shared.permit import SharedPermits
from tests.bench.alone import Mark, Told, tell

_TOKEN: Final = "f064c46a782c444cb4ba4b6434288f7c"
_LINES: Final = (
    (b"Host", b"api.example.test"),
    (b"User-Agent", b"openstacksdk/4.2.0 keystoneauth1/5.9.0"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"Accept", b"application/json"),
    (b"Connection", b"keep-alive"),
    (b"Content-Type", b"application/json"),
    (b"X-Auth-Token", _TOKEN.encode()),
)
IMAGE_METADATA: Final = (
    "/v2/8f0e4c1d2b7a4a55b6f1f2c0c9a7d3e1/images/70a599e0-31e7-49b7-b260-868f441e862b/metadata"
)
METADATA_BODY: Final = (
    b'{"metadata": {"com.rackspace__1__options": "0", "owner": "John, Doe", "base_image_ref": '
    b'"ffa476b1-9b14-46bd-99a8-862d1d94eb7a", "category": "Webserver-Beta Retail Outlet project", '
    b'"os_distro": "ubuntu", "label": "Updated", "auto_disk_config": "True", "os_type": "linux"}}'
)
_CALLS: Final = 1000  # between two looks at the clock

NONE: Final = "none"
ANEW: Final = "-anew"

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


def _permit() -> Hook:
    """A permit of one key in memory that workers share, taken and given back."""
    memory = SharedMemory.create()
    permits = SharedPermits(memory.claim("permits", "permits"), memory)
    demands = [(permits.place(b"key"), 100)]

    def hold(exchange: Exchange) -> None:
        permits.claim(demands).release()

    return hold


def _described() -> Hook:
    """A metadata body, and all else of the request, by the description of its API."""
    services = FrozenServices(directory=Path(__file__).parents[2] / "config" / "examples" / "api")
    return build(Api, {"description": "image-metadata.openapi.yaml"}, services).on_request


HOOKS: Final[dict[str, Callable[[], Hook | None]]] = {
    NONE: lambda: None,
    NONE + ANEW: lambda: None,
    "token-cached": _token_cached,
    "token-cached" + ANEW: _token_cached,
    "permit": _permit,
    "api": _described,
}
"""By name: what makes a hook ready to be called."""


def _request(name: str) -> Exchange:
    caller = Principal(user_id="u1", project_id="p1", roles=("member", "reader"))
    if name == "api":
        return exchange("POST", IMAGE_METADATA, body=METADATA_BODY, principal=caller)
    return exchange(principal=caller)


def _section() -> Fields:
    """One with its index, which whoever has found the route has made."""
    made = Fields(_LINES)
    made.index()
    return made


def measured(name: str, seconds: float) -> Told:
    """Calls it for that time."""
    hook = HOOKS[name]()
    made = _request(name)
    request = made.request
    given = _section()
    take = _section if name.endswith(ANEW) else given.copy
    request.headers = given.copy()
    if hook is not None and hook(made) is not None:
        raise RuntimeError(f"{name}: the request does not pass")
    calls, began = 0, Mark.now()
    end = began.wall + seconds
    while time.monotonic() < end:
        for _ in range(_CALLS):
            request.headers = take()
            made.trail = []
            if hook is not None:
                hook(made)
        calls += _CALLS
    return began.told(calls)


@click.command()
@click.argument("name", type=click.Choice(list(HOOKS)))
@click.option("--seconds", default=2.0, show_default=True)
def main(name: str, seconds: float) -> None:
    """Prints how often the hook was called, and the seconds and CPU seconds that it took."""
    measured(name, 0.2)
    tell(measured(name, seconds))


if __name__ == "__main__":
    main()
