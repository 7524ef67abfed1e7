"""Alerts and dashboard: every metric and label that they ask for is one that a gateway tells, in PromQL that parses."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.reason import REASONS
from gateway.config.model import Address
from tests.cli.process import START, weir
from tests.cli.test_run import fetch
from tests.support.certificates import authority, written
from tests.support.client import Client, get
from tests.support.deadline import until
from tests.support.otlp import Receiver
from tests.support.upstream import Upstream, closed_port, echo

DEPLOY = Path(__file__).parents[1] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "weir.json"

_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
    "gauge": ("",),
}
_OF_PROMETHEUS = {"instance", "job", "le"}
_BUILT_IN = {"up": {"instance", "job"}}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    marked = [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    # What Grafana puts in.
    return [rule["expr"] for rule in rules()] + [
        text.replace("$__rate_interval", "1m") for text in (*shown, *marked)
    ]


def selectors(node: Any) -> Iterator[Any]:
    """The selectors in an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if (below := getattr(node, name, None)) is not None:
            yield from selectors(below)
    for argument in getattr(node, "args", ()):
        yield from selectors(argument)


def grouped(node: Any) -> Iterator[tuple[set[str], Any]]:
    """The labels that each aggregation keeps, and what it aggregates."""
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
        yield set(node.modifier.labels), node.expr
    for name in ("lhs", "rhs", "expr", "param"):
        if (below := getattr(node, name, None)) is not None:
            yield from grouped(below)
    for argument in getattr(node, "args", ()):
        yield from grouped(argument)


async def scraped(directory: Path) -> dict[str, set[str]]:
    """The metrics of a gateway with all that has some, each with the labels that it had."""
    identity = authority().sign("127.0.0.1")
    written(directory, server=identity.certificate + identity.key)
    with Receiver() as receiver:
        async with Upstream(echo) as upstream:
            dead = f"http://127.0.0.1:{closed_port()}"
            endpoints = [upstream.url, dead]
            configuration = {
                "listen": [
                    {"address": "127.0.0.1:0"},
                    {"address": "127.0.0.1:0", "tls": {"certificate": "server.pem"}},
                ],
                "admin": "127.0.0.1:0",
                "workers": 2,
                "upstreams": {
                    "main": {
                        "endpoints": endpoints,
                        "retries": {"attempts": 2, "on": ["connect_failure"]},
                        "concurrency": {"limit": 100},
                        "breaker": {"endpoint": {}, "pool": {}},
                    },
                    "copy": {"endpoints": [dead]},
                },
                "filters": [
                    {"methods": {"allow": ["GET"]}},
                    {"methods": {"allow": ["PUT"], "mode": "shadow", "name": "tried"}},
                    {"rate_limit": {"limits": [{"name": "all", "rate": "100/minute", "key": ["global"]}]}},
                ],
                "routes": [
                    {
                        "name": "any",
                        "path": "/{rest*}",
                        "upstream": "main",
                        "mirror": {"upstream": "copy"},
                    }
                ],
                "log": {"path": "requests.log", "otlp": {"endpoint": receiver.url}},
                "tracing": {"endpoint": receiver.url},
            }
            path = directory / "gateway.yaml"
            path.write_text(yaml.safe_dump(configuration))
            async with weir("run", path, directory=directory) as process:
                address = await process.listens()
                for target in ("/a", "/b", "/c"):
                    await asyncio.to_thread(fetch, f"{address.url}{target}")
                async with await Client.connect(Address("127.0.0.1", address.port)) as client:
                    await client.ask(get(method="DELETE"))
                async with await Client.connect(Address("127.0.0.1", address.port)) as client:
                    await client.ask(b"nonsense\r\n\r\n")
                found: dict[str, set[str]] = {}

                def told() -> bool:
                    _, text = fetch(f"{address.admin_url}/metrics")
                    for family in text_string_to_metric_families(text):
                        # The parser tells an info as the gauge that it is.
                        for suffix in _SUFFIXES.get(family.type, ("",)):
                            labels = found.setdefault(family.name + suffix, set())
                            labels.update(label for sample in family.samples for label in sample.labels)
                    return bool(found.get("gateway_decisions_total")) and bool(
                        found.get("gateway_mirror_results_total")
                    )

                await until(told, "what was done is counted", START)
                return found


async def test_every_metric_and_label_is_one_that_a_gateway_tells(tmp_path: Path) -> None:
    known = {**await scraped(tmp_path), **_BUILT_IN}
    wrong = []
    for text in expressions():
        tree = promql_parser.parse(text)
        for selector in selectors(tree):
            labels = known.get(selector.name)
            if labels is None:
                wrong.append(f"{text}: {selector.name}")
                continue
            asked = {matcher.name for matcher in selector.matchers.matchers}
            if labels and not asked <= labels | _OF_PROMETHEUS:
                wrong.append(f"{text}: {asked - labels}")
        for kept, expression in grouped(tree):
            for selector in selectors(expression):
                labels = known.get(selector.name, set())
                if labels and not kept <= labels | _OF_PROMETHEUS:
                    wrong.append(f"{text}: {kept - labels}")
    assert wrong == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_means(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    kept = {label for labels, _ in grouped(promql_parser.parse(rule["expr"])) for label in labels}
    named = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    if kept:
        assert named <= kept


def test_no_alert_has_the_name_of_another() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


def test_the_reasons_that_are_asked_for_are_registered() -> None:
    for text in expressions():
        for selector in selectors(promql_parser.parse(text)):
            for matcher in selector.matchers.matchers:
                if matcher.name == "reason":
                    assert set(matcher.value.split("|")) <= set(REASONS), text


def test_the_dashboards_panels_have_their_place() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
