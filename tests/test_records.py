"""docs/records.md names every field that a record can have, and none that it cannot."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gateway.api import Certificate, Note
from gateway.config.load import loads
from gateway.excerpt import Excerpt
from gateway.inspect.field import FIELDS
from gateway.plan import build_plan
from gateway.record import Aside, Peer, Record
from gateway.registry import Registry
from gateway.serializer import Serializer
from gateway.trace import TraceSource
from tests.support.records import ALICE, Entry, attempt, record, step

PAGE = (Path(__file__).parent.parent / "docs" / "records.md").read_text()
STEP = "A step in `gateway.filters`:"
ATTEMPT = "A member of `gateway.upstream.attempts`:"


def named(table: str) -> set[str]:
    """The names in the first column of a table."""
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", " ".join(cells)))


def tables() -> tuple[set[str], set[str], set[str]]:
    """The fields of a record, the members of a step, and those of an attempt."""
    step_table = PAGE.partition(STEP)[2].partition("\n## ")[0]
    attempt_table = PAGE.partition(ATTEMPT)[2].partition("\n## ")[0]
    rest = PAGE.replace(step_table, "").replace(attempt_table, "")
    return named(rest), named(step_table), named(attempt_table)


def excerpt(data: bytes, limit: int) -> Excerpt:
    made = Excerpt(limit, json=True, form=False, encoded=False, paths=())
    made(data)
    return made


def everything(*, whole_bodies: bool) -> Record:
    """A record that has all that one can have."""
    shadow = Entry("rate_limit", mode="shadow")
    noted = [Note("token_accepted", (), {"cached": True}), Note("rate_counted", ("limits", 0), {"cost": 1})]
    decider = step("methods", "refuse", "method_not_allowed", rule=("allow",), status=405)
    made = record(
        method="BREW",
        target=b"/v2/p-1/images?limit=5",
        principal=ALICE,
        request_lines=((b"User-Agent", b"novaclient/1"),),
        status=405,
        decision="refuse",
        reason="method_not_allowed",
        decider=decider,
        steps=[step("token_auth", note=noted), step(shadow, "refuse", "rate_limited", status=413), decider],
        attempts=[
            attempt(error="upstream_connect_failed", detail="refused", first_byte=None),
            attempt(peer="192.0.2.1"),
        ],
        global_id="req-11111111-31e7-49b7-b260-868f441e862b",
        upstream_request_id="req-22222222-31e7-49b7-b260-868f441e862b",
    )
    made.peer = Peer(
        "192.0.2.7", 4711, "https", "10.0.0.9", "1.3", Certificate("CN=a", fingerprint="0a" * 32)
    )
    made.trace = TraceSource("always", 1.0).trace({}, False)
    made.under_way = 1.5
    made.aside = aside = Aside()
    aside.queue = 0.25
    aside.share = 0.1
    aside.traced = True
    if whole_bodies:
        aside.request_body, aside.response_body = excerpt(b"{}", 9), excerpt(b"{}", 9)
    else:
        aside.request_body, aside.response_body = excerpt(b"{}", 1), excerpt(b"{}", 1)
    return made


def fields(told: Record) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(Serializer(b"k" * 32, 0, 5.0).line(told, 1))
    return made


def test_what_a_record_that_could_not_be_told_says_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(Serializer, "_line", fail)
    odd = fields(record())
    assert "gateway.record_error" in odd
    assert set(odd) <= tables()[0]


def test_a_record_that_has_everything_has_what_the_page_names() -> None:
    whole = fields(everything(whole_bodies=True)) | fields(everything(whole_bodies=False))
    of_record, of_step, of_attempt = tables()
    assert {*whole, "gateway.record_error"} == of_record
    assert {key for told in whole["gateway.filters"] for key in told} == of_step
    assert {key for told in whole["gateway.upstream.attempts"] for key in told} == of_attempt


def test_what_can_be_searched_by_is_explained() -> None:
    assert {field.key for field in FIELDS} <= tables()[0]


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_what_the_page_shows_is_right(block: str) -> None:
    shown = yaml.safe_load(block)
    route = {
        "name": "r",
        "path": "/users/{user_id}",
        "upstream": "a",
        "record": shown.pop("record", {"redact": []}),
    }
    text = yaml.safe_dump({"upstreams": {"a": {"endpoints": ["http://a:1"]}}, "routes": [route], **shown})
    registry = Registry()
    build_plan(loads(text, "records.md", registry=registry), registry)
