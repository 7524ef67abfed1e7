"""What the health pages say: `/livez`, `/readyz`, `/healthz` and OpenStack's `/healthcheck`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gateway.api.check import Check

UNAVAILABLE = ("unhealthy", "ejected")
"""States of an endpoint that gets no requests, see `gateway.upstream.standing`."""


def upstream_checks(upstreams: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """Whether there is an endpoint that can be asked: of any upstream, and of each, in any worker.

    One upstream that is down does not make the gateway unready: a balancer in front would then refuse, together with its
    requests, those of all others. So that of each is told, and counts only for those who include it.
    """
    usable = {
        name: any(
            endpoint["state"] not in UNAVAILABLE
            for standing in workers.values()
            for endpoint in standing["endpoints"]
        )
        for name, workers in sorted(upstreams.items())
    }
    return [
        Check("upstreams", any(usable.values())),
        *(Check(f"upstream:{name}", holds, counts=False) for name, holds in usable.items()),
    ]


def filter_checks(told: Iterable[Sequence[Check]]) -> list[Check]:
    """What filters say of what they need, in each worker: it holds where it does in any, as with upstreams."""
    holds: dict[tuple[str, bool], bool] = {}
    for checks in told:
        for name, held, counts in checks:
            holds[name, counts] = holds.get((name, counts), False) or held
    return [Check(name, held, counts) for (name, counts), held in sorted(holds.items())]


def chosen(
    checks: Sequence[Check], included: Collection[str] = (), excluded: Collection[str] = ()
) -> list[Check]:
    """The checks as somebody asks for them: what he includes counts, and what he excludes does not."""
    return [
        check._replace(counts=(check.counts or check.name in included) and check.name not in excluded)
        for check in checks
    ]


def failed(checks: Sequence[Check]) -> list[str]:
    """What counts, and does not hold."""
    return [check.name for check in checks if check.counts and not check.holds]


def told(checks: Sequence[Check]) -> list[str]:
    """Each check on a line, as Kubernetes' components write it."""
    return [
        f"[{'+' if check.holds else '-'}] {check.name}: {'ok' if check.holds else 'failed'}"
        + ("" if check.counts else ", does not count")
        for check in checks
    ]
