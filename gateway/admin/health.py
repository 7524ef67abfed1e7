"""What the health pages say: `/livez`, `/readyz`, `/healthz` and OpenStack's `/healthcheck`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

UNAVAILABLE = ("unhealthy", "ejected")
"""States of an endpoint that gets no requests, see `gateway.upstream.standing`."""

Check = tuple[str, bool]
"""What must hold before requests are welcome, in a few words, and whether it does."""


def any_upstream(upstreams: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether there is an endpoint that can be asked, of any upstream, in any worker.

    One upstream that is down does not make the gateway unready: the others' requests would be refused with its own.
    """
    return any(
        endpoint["state"] not in UNAVAILABLE
        for workers in upstreams.values()
        for standing in workers.values()
        for endpoint in standing["endpoints"]
    )


def failed(checks: Sequence[Check], excluded: Collection[str] = ()) -> list[str]:
    """What does not hold, and is not excluded."""
    return [name for name, holds in checks if not holds and name not in excluded]


def told(checks: Sequence[Check], excluded: Collection[str]) -> list[str]:
    """Each check on a line, as Kubernetes' components write it."""
    lines = []
    for name, holds in checks:
        if name in excluded:
            lines.append(f"[+] {name}: excluded")
        else:
            lines.append(f"[+] {name}: ok" if holds else f"[-] {name}: failed")
    return lines
