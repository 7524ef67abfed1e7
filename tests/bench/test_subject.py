"""The configurations: Weir's must be one that Weir takes; of the others, what makes the policies alike."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from filters.rate_limit.option import RateLimitConfig
from gateway.config.load import loads
from gateway.plan import build_plan
from gateway.registry import Registry
from gateway.state import StateStore
from tests.bench import envoy, nginx, weir
from tests.bench.install import Tools
from tests.bench.setting import Setting
from tests.bench.subject import SUBJECTS
from tests.bench.workload import SEEN, UNSEEN

_TOOLS = Tools(*(Path(f"/{name}") for name in Tools._fields))


def _setting(directory: Path, *, methods: bool = False) -> Setting:
    return Setting(directory, port=5001, admin_port=5002, upstream_port=5003, methods=methods)


@pytest.mark.parametrize(
    ("policy", "methods", "filters"),
    [
        (False, False, []),
        (False, True, []),
        (True, False, ["token_auth", "rate_limit", "methods", "uuid", "body_size"]),
    ],
)
def test_weir_takes_its_configuration(
    tmp_path: Path, policy: bool, methods: bool, filters: list[str]
) -> None:
    text = weir.configuration(_setting(tmp_path, methods=methods), policy=policy)
    registry = Registry()
    loaded = loads(text, "weir.yaml", registry=registry)
    build_plan(loaded, registry, state=StateStore(), hash_key=b"0" * 32)
    configuration = loaded.configuration
    (route,) = configuration.routes
    assert [entry.type for entry in (*configuration.filters, *route.filters)] == filters
    assert configuration.log.path == (str(tmp_path / "request.log") if policy else None)
    assert (route.methods is not None) is methods


@pytest.mark.parametrize("number", [1, 30])
def test_a_chain_has_that_many_filters_that_let_everything_pass(tmp_path: Path, number: int) -> None:
    text = weir.configuration(_setting(tmp_path), policy=False, chain=number)
    registry = Registry()
    loaded = loads(text, "weir.yaml", registry=registry)
    build_plan(loaded, registry, state=StateStore(), hash_key=b"0" * 32)
    (route,) = loaded.configuration.routes
    assert [entry.type for entry in route.filters] == ["methods"] * number
    assert loaded.configuration.log.path is None


def test_weir_with_limits_has_four_that_no_request_passes_over(tmp_path: Path) -> None:
    text = weir.configuration(_setting(tmp_path), policy=False, limits=True)
    registry = Registry()
    loaded = loads(text, "weir.yaml", registry=registry)
    build_plan(loaded, registry, state=StateStore(), hash_key=b"0" * 32)
    (route,) = loaded.configuration.routes
    (entry,) = route.filters
    assert isinstance(entry.options, RateLimitConfig)
    limits = entry.options.limits
    assert [limit.rate.value for limit in limits] == [10**9] * 4
    assert {limit.key for limit in limits} == {("client_ip",)}
    assert not any(limit.methods or limit.path or limit.query for limit in limits)


def test_weir_routes_what_the_workload_asks_for(tmp_path: Path) -> None:
    setting = Setting(tmp_path, 5001, 5002, 5003, leaf="file")
    (route,) = loads(
        weir.configuration(setting, policy=False), "weir.yaml", registry=Registry()
    ).configuration.routes
    assert route.path == "/v2/{project_id}/images/{image_id}/file"


def _manager(text: str) -> dict[str, Any]:
    (listener,) = json.loads(text)["static_resources"]["listeners"]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def test_envoy_with_policy_verifies_limits_and_logs(tmp_path: Path) -> None:
    manager = _manager(envoy.configuration(_setting(tmp_path), policy=True, cache=False))
    names = [each["name"].rpartition(".")[2] for each in manager["http_filters"]]
    assert names == ["jwt_authn", "local_ratelimit", "router"]
    assert manager["access_log"][0]["typed_config"]["path"] == str(tmp_path / "request.log")
    statuses = [
        route.get("direct_response", {}).get("status")
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]
    ]
    assert statuses == [405, None, 400]


@pytest.mark.parametrize("cache", [False, True])
def test_envoy_caches_tokens_only_where_the_subject_says_so(tmp_path: Path, cache: bool) -> None:
    manager = _manager(envoy.configuration(_setting(tmp_path), policy=True, cache=cache))
    provider = manager["http_filters"][0]["typed_config"]["providers"]["bench"]
    assert ("jwt_cache_config" in provider) is cache


@pytest.mark.parametrize(("methods", "routes"), [(False, 1), (True, 2)])
def test_bare_envoy_only_routes(tmp_path: Path, methods: bool, routes: int) -> None:
    manager = _manager(envoy.configuration(_setting(tmp_path, methods=methods), policy=False, cache=False))
    assert [each["name"] for each in manager["http_filters"]] == ["envoy.filters.http.router"]
    assert "access_log" not in manager
    assert len(manager["route_config"]["virtual_hosts"][0]["routes"]) == routes


def test_envoy_with_limits_takes_from_four_buckets_of_an_address(tmp_path: Path) -> None:
    manager = _manager(envoy.configuration(_setting(tmp_path), policy=False, cache=False, limits=True))
    first, router = manager["http_filters"]
    assert (first["name"], router["name"]) == (
        "envoy.filters.http.local_ratelimit",
        "envoy.filters.http.router",
    )
    options = first["typed_config"]
    given = [
        (first["generic_key"]["descriptor_value"], *second)
        for first, second in (each["actions"] for each in options["rate_limits"])
    ]
    taken = [
        (first["value"], second["key"])
        for first, second in (each["entries"] for each in options["descriptors"])
    ]
    assert given == taken
    assert len(set(taken)) == 4
    assert options["always_consume_default_token_bucket"] is False


def test_nginx_with_limits_has_four_zones(tmp_path: Path) -> None:
    text = nginx.configuration(_setting(tmp_path), policy=False, limits=True)
    for number in range(4):
        assert f"limit_req_zone $binary_remote_addr zone=limit{number}:1m rate=1000000r/s;" in text
        assert f"limit_req zone=limit{number} burst=1000 nodelay;" in text


def test_nginx_with_policy_asks_limits_and_logs(tmp_path: Path) -> None:
    text = nginx.configuration(_setting(tmp_path), policy=True)
    for part in ("auth_request /_auth;", "limit_req zone=tokens", f"access_log {tmp_path}/request.log json"):
        assert part in text
    assert "access_log off" not in text


@pytest.mark.parametrize("methods", [False, True])
def test_bare_nginx_only_passes(tmp_path: Path, methods: bool) -> None:
    text = nginx.configuration(_setting(tmp_path, methods=methods), policy=False)
    assert "auth_request" not in text
    assert "limit_req" not in text
    assert "access_log off;" in text
    assert ("return 405" in text) is methods


def test_nginx_passes_bodies_on_and_holds_as_many_connections_as_it_is_told(tmp_path: Path) -> None:
    text = nginx.configuration(Setting(tmp_path, 5001, 5002, 5003, connections=11_000), policy=False)
    for part in ("proxy_request_buffering off;", "proxy_max_temp_file_size 0;", "worker_connections 11000;"):
        assert part in text


def test_the_upstream_answers_an_upload_with_what_it_received(tmp_path: Path) -> None:
    text = nginx.upstream(tmp_path, 5003, "a.b.c")
    assert "location ~ /file$ { if ($request_method = PUT) { rewrite ^ /upload last; }" in text
    assert "client_body_buffer_size 1048576;" in text
    assert (tmp_path / "image").stat().st_size == 10 << 20


def test_the_upstream_judges_the_token_for_nginx(tmp_path: Path) -> None:
    text = nginx.upstream(tmp_path, 5003, "a.b.c")
    assert 'if ($http_x_auth_token != "a.b.c") { return 401; }' in text
    assert "listen 127.0.0.1:5003 " in text


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_writes_the_file_that_its_command_names(tmp_path: Path, name: str) -> None:
    subject = SUBJECTS[name]
    launch = subject.launch(_setting(tmp_path), _TOOLS)
    (written,) = tmp_path.iterdir()
    assert str(written) in launch.command
    assert launch.command[0] == (f"/{subject.needs}" if subject.needs else sys.executable)
    assert launch.log == (tmp_path / "request.log" if subject.policy and name != UNSEEN else None)
    assert (launch.page is not None) == (name == SEEN)


@pytest.mark.parametrize("seen", [True, False])
def test_weir_is_seen_by_everything_or_by_nothing(tmp_path: Path, seen: bool) -> None:
    text = weir.configuration(_setting(tmp_path), policy=True, seen=seen)
    configuration = loads(text, "weir.yaml", registry=Registry()).configuration
    assert (configuration.log.path is not None, configuration.admin is not None) == (seen, seen)
    assert (configuration.trace is not None) == seen
    (route,) = configuration.routes
    assert [entry.mode for entry in route.filters] == ["enforce"] * 3 + ["shadow"] * seen
