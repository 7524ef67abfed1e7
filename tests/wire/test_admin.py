"""The admin listener of a running service: what it tells scrapers, and a reload that changes the listener itself."""

import http.client
import json
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.process import START, Listening, Process, weir
from tests.cli.test_reload import free_port
from tests.support.authority import Authority
from tests.support.deadline import until
from tests.support.gateway import configuration

NOWHERE = "http://127.0.0.1:1"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
strictly: Any = openmetrics.text_string_to_metric_families  # which has no types

# By the conventions that operators' dashboards are made for.
CONVENTIONAL: Final = {
    "http_server_request_duration_seconds": "histogram",
    "http_client_request_duration_seconds": "histogram",
    "http_server_active_requests": "gauge",
    "gateway_filter_decisions": "counter",
    "gateway_filter_duration_seconds": "summary",
    "gateway_upstream_ejections": "counter",
    "gateway_config_reload": "counter",
    "gateway_config_revision": "info",
    "gateway_config_last_reload_success_timestamp_seconds": "gauge",
}
# Whose values come from the configuration, the program or a short list.
LABELS: Final = frozenset(
    (
        "cause",
        "decision",
        "endpoint",
        "filter",
        "form",
        "http_route",
        "le",
        "listen",
        "method",
        "name",
        "reason",
        "result",
        "revision",
        "route",
        "scope",
        "slot",
        "state",
        "status",
        "type",
        "upstream",
        "verdict",
        "version",
    )
)


@asynccontextmanager
async def running(path: Path, *options: str | Path) -> AsyncIterator[tuple[Process, Listening]]:
    async with weir("run", path, *options, directory=path.parent) as process:
        yield process, await process.listens()
        process.signal()
        assert await process.ends() == 0


def written(directory: Path, admin: Any, **options: Any) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(configuration(NOWHERE, admin=admin, **options))
    return path


def ask(
    port: int,
    page: str,
    *,
    method: str = "GET",
    token: str | None = None,
    accept: str = "*/*",
    context: ssl.SSLContext | None = None,
) -> tuple[int, str]:
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=START)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=START, context=context)
    )
    headers = {"Accept": accept}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, page, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def refuses(port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=START):
        return False
    return True


def samples(families: Iterable[Any]) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {
        (sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples
    }


async def test_both_expositions_are_read_by_the_official_parsers(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "127.0.0.1:0",
        filters=[{"methods": {"allow": ["GET"]}}],
        upstream={"breaker": {"pool": {"requests": 1000}}, "concurrency": {"limit": 9}},
    )
    async with running(path, "--workers", "2") as (_, listening):
        for number in range(20):
            assert ask(listening.port, f"/secret-{number}?x={number}")[0] in (502, 503)
        assert ask(listening.port, "/", method="DELETE")[0] == 405
        assert ask(listening.admin_port, "/reload", method="POST")[0] == 200
        plain = list(text_string_to_metric_families(ask(listening.admin_port, "/metrics")[1]))
        strict = list(strictly(ask(listening.admin_port, "/metrics", accept=OPENMETRICS)[1]))
    assert samples(plain) == samples(strict)
    types = {family.name: family.type for family in strict}
    assert {name: types.get(name) for name in CONVENTIONAL} == CONVENTIONAL
    for family in strict:
        assert re.fullmatch(r"(gateway|http|process)_[a-z_]+", family.name)
        assert family.documentation, family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_kib", "_total")), family.name
    told = samples(plain)
    assert {name for _, labels in told for name, _ in labels} <= LABELS
    assert not [value for _, labels in told for _, value in labels if "secret" in value]
    requests = [sample for family in plain if family.name == "gateway_requests" for sample in family.samples]
    assert sum(sample.value for sample in requests) == 21


async def test_totals_do_not_fall_when_a_worker_is_killed(tmp_path: Path) -> None:
    async with running(written(tmp_path, "127.0.0.1:0"), "--workers", "2") as (_, listening):

        def requests() -> float:
            families = text_string_to_metric_families(ask(listening.admin_port, "/metrics")[1])
            return sum(
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == "gateway_requests_total"
            )

        def workers() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(ask(listening.admin_port, "/workers")[1])["workers"]
            return found

        for _ in range(20):
            assert ask(listening.port, "/")[0] in (502, 503)
        assert requests() == 20
        for worker in workers():
            os.kill(worker["pid"], signal.SIGKILL)
        await until(
            lambda: [(worker["ready"], worker["restarts"]) for worker in workers()] == [(True, 1)] * 2,
            "others have taken their places",
            START,
        )
        assert requests() == 20
        assert ask(listening.port, "/")[0] in (502, 503)
        assert requests() == 21


async def test_a_reload_changes_the_token_at_once(tmp_path: Path) -> None:
    port = free_port()
    place = f"127.0.0.1:{port}"
    path = written(tmp_path, {"address": place, "token": "old"})
    async with running(path):
        assert ask(port, "/config")[0] == 401
        written(tmp_path, {"address": place, "token": "new"})
        assert ask(port, "/reload", method="POST", token="old")[0] == 200
        assert ask(port, "/config", token="old")[0] == 401
        status, text = ask(port, "/config", token="new")
        assert (status, json.loads(text)["configuration"]["admin"]["token"]) == (200, "**********")
        assert ask(port, "/readyz?exclude=upstreams")[0] == 200


async def test_a_reload_moves_the_listener_and_one_that_cannot_leaves_it(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    path = written(tmp_path, f"127.0.0.1:{first}")
    async with running(path):
        with socket.create_server(("127.0.0.1", second)):
            written(tmp_path, f"127.0.0.1:{second}")
            status, text = ask(first, "/reload", method="POST")
            assert (status, json.loads(text)["error"]) == (
                422,
                f"cannot listen on 127.0.0.1:{second} (admin): the address is in use",
            )
        assert ask(first, "/reload", method="POST")[0] == 200
        assert ask(second, "/livez")[0] == 200
        await until(lambda: refuses(first), "the former place is left")
        written(tmp_path, None)
        assert ask(second, "/reload", method="POST")[0] == 200
        await until(lambda: refuses(second), "there is none any more")


async def test_a_reload_may_begin_to_ask_for_certificates(tmp_path: Path) -> None:
    port = free_port()
    place = f"127.0.0.1:{port}"
    authority = Authority(tmp_path)
    operator = authority.issue("operator")
    context = ssl.create_default_context(cafile=str(authority.file))
    context.check_hostname = False
    path = written(tmp_path, place)
    async with running(path):
        tls = {**authority.issue().options, "client_ca": "absent.pem"}
        written(tmp_path, {"address": place, "tls": tls})
        status, text = ask(port, "/reload", method="POST")
        (problem,) = json.loads(text)["problems"]
        assert (status, problem["key"]) == (422, "admin.tls.client_ca")
        written(tmp_path, {"address": place, "tls": {**tls, "client_ca": str(authority.file)}})
        assert ask(port, "/reload", method="POST")[0] == 200
        strangers = False
        with suppress(OSError):
            strangers = ask(port, "/config", context=context)[0] == 200
        assert not strangers
        context.load_cert_chain(operator.certificate, operator.key)
        assert ask(port, "/config", context=context)[0] == 200
