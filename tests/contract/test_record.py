"""Every answer has a record that says who decided it and where that is written, found by either of its ids."""

import re

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.demo.sample import SAMPLE_PROJECT
from gateway.inspect.reader import Skipped, find
from tests.contract.deployment import LABEL, METADATA, SHIPPED, Deploy, Deployment
from tests.support.deadline import until
from tests.support.message import Answer

GLOBAL_ID = "req-11111111-2222-4333-8444-555555555555"


async def written(site: Deployment, answer: Answer) -> str:
    """The gateway's own id of an answer, whose record is in the file."""
    own: str = (await site.record(answer))["gateway.request_id"]
    await until(lambda: own in site.log.read_text(), "the record is in the file")
    return own


async def test_both_ids_of_a_forwarded_request_find_its_record(site: Deployment) -> None:
    await site.ask("GET", LABEL)
    answer = await site.ask("GET", METADATA, None, f"X-Openstack-Request-Id: {GLOBAL_ID}")
    await site.ask("GET", LABEL)
    own = await written(site, answer)
    shown = answer.get("X-Compute-Request-Id")
    assert shown is not None and shown != own
    for wanted in (own, shown, GLOBAL_ID):
        (found,) = find(site.log, wanted, Skipped())
        assert (found["gateway.request_id"], found["url.path"]) == (own, METADATA)
        assert found["gateway.upstream.request_id"] == shown
        assert found["gateway.global_request_id"] == GLOBAL_ID
    # A global id is for those who asked with it, and is never echoed.
    assert GLOBAL_ID not in str(answer.head.lines)


async def test_the_one_id_of_a_refusal_finds_its_record(site: Deployment) -> None:
    answer = await site.ask("DELETE")
    own = await written(site, answer)
    assert answer.get("X-Compute-Request-Id") == answer.get("X-Openstack-Request-Id") == own
    (found,) = find(site.log, own, Skipped())
    assert found["gateway.reason"] == "method_not_allowed"


@pytest.mark.parametrize(
    "line", ["X-Openstack-Request-Id: req-garbage", f"X-Compute-Request-Id: {GLOBAL_ID}", "X-Request-Id: abc"]
)
async def test_an_id_that_a_client_makes_up_has_no_effect(site: Deployment, line: str) -> None:
    answer = await site.ask("DELETE", METADATA, None, line)
    record = await site.record(answer)
    assert "gateway.global_request_id" not in record
    assert line.split(": ")[1] not in str(answer.head.lines)


async def test_an_operator_finds_a_request_by_the_id_that_the_client_was_shown(site: Deployment) -> None:
    answer = await site.ask("DELETE")
    await written(site, answer)
    told = CliRunner().invoke(
        main, ["logs", "show", str(answer.get("X-Compute-Request-Id")), "--log", str(site.log)]
    )
    assert told.exit_code == 0, told.output
    assert "methods" in told.output
    assert "method_not_allowed" in told.output


LINES = SHIPPED.read_text().splitlines()


@pytest.mark.parametrize(
    ("ask", "filter", "text"),
    [
        ({"token": None}, "token_auth", "      providers:"),
        ({"method": "DELETE"}, "methods", "      - methods: { allow: [GET, POST, PUT] }"),
        (
            {"method": "POST", "target": LABEL},
            "methods-2",
            "      - methods: { allow: [GET, PUT, DELETE] }",
        ),
        (
            {"target": f"/v2/{SAMPLE_PROJECT}/images/x/metadata"},
            "uuid",
            "      - uuid: { params: [image_id], version: any, status: 400, lenient: false }",
        ),
        (
            {"target": f"/v2/{SAMPLE_PROJECT}/images/x/metadata/y"},
            "uuid-2",
            "      - uuid: { params: [image_id] }",
        ),
    ],
)
async def test_the_position_is_the_line_of_the_shipped_file(
    site: Deployment, ask: dict[str, str | None], filter: str, text: str
) -> None:
    answer = await site.ask(
        ask.get("method") or "GET", ask.get("target") or METADATA, token=ask.get("token", "demo-member-token")
    )
    record = await site.record(answer)
    assert record["gateway.filter"] == filter
    match = re.fullmatch(r"gateway\.yaml:(\d+):\d+", record["gateway.source"])
    assert match is not None
    assert LINES[int(match[1]) - 1] == text


async def test_every_step_of_the_chain_has_its_own_position(site: Deployment) -> None:
    record = await site.record(await site.ask("GET"))
    told = {}
    for step in record["gateway.filters"]:
        line = int(step["source"].split(":")[1])
        told[step["name"]] = LINES[line - 1].strip()
        assert step["ms"] >= 0
    assert told == {
        "token_auth": "- static:",
        "rate_limit": "limits:",
        "methods": "- methods: { allow: [GET, POST, PUT] }",
        "uuid": "- uuid: { params: [image_id], version: any, status: 400, lenient: false }",
        "body_size": "- body_size: { max: 112KiB }",
        "content_type": "- content_type: { allow: [application/json, application/xml] }",
    }


async def test_the_facts_are_what_judging_again_would_need(site: Deployment) -> None:
    answer = await site.ask("POST", f"{METADATA}?a=b", b'{"metadata": {}}', "X-Unread: 1")
    record = await site.record(answer)
    facts = record["gateway.facts"]
    assert facts["method"] == "POST"
    assert facts["target"] == f"{METADATA}?a=b"
    assert facts["host"] == "api.test"
    assert (facts["content_type"], facts["content_length"]) == ("application/json", 16)
    assert facts["client"] == facts["peer"] == "127.0.0.1"
    assert facts["clock"] == 1_700_000_000.0
    assert facts["principal"]["project_id"] == SAMPLE_PROJECT
    assert facts["principal"]["roles"] == ["member", "reader"]
    assert list(facts["headers"]["x-auth-token"]) == ["hash"]
    assert "x-unread" not in facts["headers"]


async def test_a_shadow_limit_only_says_what_it_would_have_done(deploy: Deploy) -> None:
    """What is tried out first: every write passes, and the record tells which would not have."""
    async with deploy({"  - rate_limit:\n": "  - rate_limit:\n      mode: shadow\n"}) as site:
        for _ in range(11):
            answer = await site.ask("POST", METADATA, b'{"metadata": {}}')
            assert answer.status == 200
        record = await site.decided(answer, "passed")
        (step,) = [step for step in record["gateway.filters"] if step["name"] == "rate_limit"]
        assert (step["mode"], step["verdict"], step["reason"]) == ("shadow", "refuse", "rate_limited")
        assert step["status"] == 413
