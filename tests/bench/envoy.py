"""Envoy's configurations, bare and with policy."""

import json
from pathlib import Path
from typing import Any, Final

from tests.bench.install import Tools
from tests.bench.setting import Setting
from tests.bench.workload import ALLOWED, AUDIENCE, ISSUER

_TYPE: Final = "type.googleapis.com/envoy.extensions"
_MANAGER: Final = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ALWAYS: Final = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_NEVER_REACHED: Final = 4_000_000_000  # requests in a second
_LOG_FORMAT: Final = {
    "ts": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "uri": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "ms": "%DURATION%",
    "id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "bytes": "%BYTES_SENT%",
}


def command(tools: Tools, path: Path) -> list[str]:
    # Hot restart would share memory with any other Envoy of this machine.
    return [str(tools.envoy), "-c", str(path), "--concurrency", "1", "-l", "error", "--disable-hot-restart"]


def configuration(setting: Setting, *, policy: bool, cache: bool, limits: bool = False) -> str:
    """A proxy with one worker thread, as JSON; `cache` is jwt_authn's own, of verified tokens.

    A bare one may be given four `limits`.
    """
    manager: dict[str, Any] = {
        "@type": _MANAGER,
        "stat_prefix": "bench",
        "generate_request_id": True,
        "route_config": {
            "response_headers_to_add": [
                {"header": {"key": "Via", "value": "1.1 envoy"}},
                {"header": {"key": "X-Compute-Request-Id", "value": "req-%REQ(X-REQUEST-ID)%"}},
            ],
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": _routes(policy, policy or setting.methods)}
            ],
        },
        "http_filters": [
            *([_jwt_authn(setting, cache), _local_ratelimit()] if policy else []),
            *([_local_ratelimit(four=True)] if limits else []),
            _http_filter("router", "router.v3.Router", {}),
        ],
    }
    if policy:
        manager["access_log"] = [_access_log(setting.log)]
    listener = {
        "address": _address(setting.port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    document = {"static_resources": {"listeners": [listener], "clusters": [_cluster(setting.upstream_port)]}}
    return json.dumps(document, indent=1)


def _routes(policy: bool, methods: bool) -> list[dict[str, Any]]:
    forward = {"cluster": "service"}
    routes: list[dict[str, Any]] = []
    if methods:
        allowed = {"safe_regex": {"regex": "|".join(ALLOWED)}}
        other = {"name": ":method", "string_match": allowed, "invert_match": True}
        routes.append(
            {"match": {"prefix": "/", "headers": [other]}, "direct_response": {"status": 405}},
        )
    if policy:
        path = {"safe_regex": {"regex": f"/v2/[^/]+/images/{_UUID}/metadata"}}
        routes += [
            {"match": path, "route": forward},
            {"match": {"prefix": "/"}, "direct_response": {"status": 400}},
        ]
    else:
        routes.append({"match": {"prefix": "/"}, "route": forward})
    return routes


def _jwt_authn(setting: Setting, cache: bool) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,
        "from_headers": [{"name": "X-Auth-Token"}],
        "local_jwks": {"inline_string": json.dumps({"keys": [setting.key.jwk]})},
    }
    if cache:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    options = {
        "providers": {"bench": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    }
    return _http_filter("jwt_authn", "jwt_authn.v3.JwtAuthentication", options)


def _local_ratelimit(*, four: bool = False) -> dict[str, Any]:
    """One bucket for all, or four of each client's address, of which a request takes from every one."""
    bucket = {
        "max_tokens": _NEVER_REACHED,
        "tokens_per_fill": _NEVER_REACHED,
        "fill_interval": "1s",
    }
    options: dict[str, Any] = {
        "stat_prefix": "bench",
        "token_bucket": bucket,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
    }
    if four:
        names = [f"limit-{number}" for number in range(4)]
        options["rate_limits"] = [
            {"actions": [{"generic_key": {"descriptor_value": name}}, {"remote_address": {}}]}
            for name in names
        ]
        options["descriptors"] = [
            {
                # Without a value it is any address, and each has a bucket of its own.
                "entries": [{"key": "generic_key", "value": name}, {"key": "remote_address"}],
                "token_bucket": bucket,
            }
            for name in names
        ]
        options["always_consume_default_token_bucket"] = False  # it would be a fifth
    return _http_filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", options)


def _http_filter(name: str, message: str, options: dict[str, Any]) -> dict[str, Any]:
    typed = {"@type": f"{_TYPE}.filters.http.{message}", **options}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}


def _access_log(path: Path) -> dict[str, Any]:
    typed = {
        "@type": f"{_TYPE}.access_loggers.file.v3.FileAccessLog",
        "path": str(path),
        "log_format": {"json_format": _LOG_FORMAT},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": typed}


def _cluster(port: int) -> dict[str, Any]:
    unlimited = {"max_connections": 4096, "max_requests": 4096, "max_pending_requests": 4096}
    return {
        "name": "service",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [unlimited]},
        "load_assignment": {
            "cluster_name": "service",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
