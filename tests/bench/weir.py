"""Weir's configuration."""

from typing import Any, Final

import yaml

from tests.bench.setting import Setting
from tests.bench.workload import ALLOWED, AUDIENCE, BODY_MAX, ISSUER

_ROTATED: Final = "16MiB"  # some times in a measurement


def configuration(
    setting: Setting, *, policy: bool, chain: int = 0, limits: bool = False, seen: bool | None = None
) -> str:
    """The YAML of a Weir: bare, or with the whole policy, a record of every request and metrics to scrape.

    A bare one may be given filters that let everything pass: as many as `chain`, or four `limits`. One with policy may be
    `seen` by everything that there is for inspection, or by nothing.
    """
    route: dict[str, Any] = {
        "name": f"image-{setting.leaf}",
        "path": f"/v2/{{project_id}}/images/{{image_id}}/{setting.leaf}",
        "upstream": "compute",
    }
    document: dict[str, Any] = {
        "listen": f"127.0.0.1:{setting.port}",
        "admin": f"127.0.0.1:{setting.admin_port}" if policy else None,
        "upstreams": {"compute": {"endpoints": [f"http://127.0.0.1:{setting.upstream_port}"]}},
        # Not rotated, because the lines are counted at the end.
        "log": {"path": str(setting.log), "max_size": 0} if policy else {"path": None},
        "routes": [route],
    }
    if seen is False:
        document |= {"admin": None, "log": {"path": None}}
    elif seen:
        document["log"] = {
            "path": str(setting.log),
            "max_size": _ROTATED,
            "max_files": 1000,
            "sidecars": True,
        }
        document["trace"] = {"allow": {"networks": ["127.0.0.0/8"]}}
    if policy:
        document["filters"] = [{"token_auth": _token_auth(setting)}, {"rate_limit": _rate_limit()}]
        route["filters"] = [
            {"methods": {"allow": list(ALLOWED)}},
            {"uuid": {"params": ["image_id"]}},
            {"body_size": {"max": BODY_MAX}},
        ]
        if seen:
            route["filters"].append({"methods": {"name": "tried", "mode": "shadow", "allow": ["GET"]}})
    elif limits:
        route["filters"] = [{"rate_limit": {"limits": four_limits("client_ip")}}]
    elif chain:
        route["filters"] = [{"methods": {"allow": list(ALLOWED)}} for _ in range(chain)]
    elif setting.methods:
        route["methods"] = list(ALLOWED)
    return yaml.safe_dump(document, sort_keys=False)


def _token_auth(setting: Setting) -> dict[str, Any]:
    provider = {
        "keys": [{"jwk": setting.key.jwk, "algorithms": ["HS256"]}],
        "issuer": ISSUER,
        "audience": AUDIENCE,
    }
    return {"providers": [{"jwt": provider}]}


def _rate_limit() -> dict[str, Any]:
    """A limit that is counted for each request and that no machine reaches."""
    limit = {"name": "per-project", "rate": "1000000/second", "burst": 1_000_000, "key": ["project_id"]}
    return {"limits": [limit]}


def four_limits(key: str) -> list[dict[str, Any]]:
    """One of each kind, and another: limits that no machine reaches."""
    kinds = (("gcra", "minute"), ("fixed_window", "minute"), ("sliding_window", "minute"), ("gcra", "second"))
    return [
        {"name": f"limit-{number}", "rate": f"1000000000/{unit}", "algorithm": algorithm, "key": [key]}
        for number, (algorithm, unit) in enumerate(kinds)
    ]
