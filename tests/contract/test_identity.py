"""The upstream is told who calls by the gateway alone: what a client says of itself never arrives."""

import itertools

import pytest

from gateway.demo.sample import MEMBER_TOKEN, READER_TOKEN, SAMPLE_METADATA, SAMPLE_PROJECT
from tests.contract.deployment import METADATA, Deploy, Deployment, request
from tests.support.upstream import OK, Upstream, answers

# keystonemiddleware's list, the one that it forgets, and what an upstream that was behind Repose believes.
SPOOFED = (
    *(
        f"X-{service}{name}"
        for service in ("", "Service-")
        for name in (
            "Identity-Status",
            "User-Id",
            "User-Name",
            "User-Domain-Id",
            "User-Domain-Name",
            "Project-Id",
            "Project-Name",
            "Project-Domain-Id",
            "Project-Domain-Name",
            "Domain-Id",
            "Domain-Name",
            "Roles",
        )
    ),
    "X-Is-Admin-Project",
    "OpenStack-System-Scope",
    "X-Service-Catalog",
    "X-User",
    "X-Role",
    "X-Tenant-Id",
    "X-Tenant-Name",
    "X-Tenant",
    "X-Authorization",
    "X-PP-User",
    "X-PP-Groups",
    "X-Catalog",
    "X-Token-Expires",
    "X-Default-Region",
    "X-Impersonator-Id",
    "X-Impersonator-Name",
    "X-Map-Roles",
    "X-Authenticated-By",
)

MEMBER = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "5f3b1c0a9d6e4a7f8b2c4d6e8f0a1b3c",
    "X-User-Name": "demo-member",
    "X-Project-Id": SAMPLE_PROJECT,
    "X-Project-Name": "demo",
    "X-Roles": "member,reader",
    "X-User": "demo-member",
    "X-Role": "member,reader",
    "X-Tenant-Id": SAMPLE_PROJECT,
    "X-Tenant-Name": "demo",
    "X-Tenant": "demo",
}


def spellings(name: str) -> list[str]:
    """Every choice of `-` and `_`, in lower, upper and the usual case."""
    first, *rest = name.split("-")
    made = [
        first + "".join(mark + part for mark, part in zip(marks, rest, strict=True))
        for marks in itertools.product("-_", repeat=len(rest))
    ]
    return sorted({case(text) for text in made for case in (str, str.lower, str.upper)})


@pytest.mark.parametrize("name", SPOOFED)
async def test_no_spelling_of_an_identity_field_crosses(deploy: Deploy, name: str) -> None:
    lines = [f"{spelling}: spoofed" for spelling in spellings(name)]
    async with Upstream(answers(OK)) as upstream, deploy(upstream=upstream.url) as site:
        assert (await site.ask("GET", METADATA, None, *lines)).status == 200
        (received,) = upstream.requests
        assert [line for line in received.head.lines if "spoofed" in line[1]] == []
        folded = name.lower()
        arrived = [value for key, value in received.head.lines if key.lower().replace("_", "-") == folded]
        own = {key.lower(): value for key, value in MEMBER.items()}
        assert arrived == ([own[folded]] if folded in own else [])


async def test_a_client_cannot_have_the_gateways_identity_fields_removed(deploy: Deploy) -> None:
    """As hop-by-hop: they are set after what Connection names is gone (RFC 9110 section 7.6.1)."""
    options = "Connection: X-User-Id, x-roles, X-Identity-Status, X-Project-Id, X-Auth-Token"
    async with Upstream(answers(OK)) as upstream, deploy(upstream=upstream.url) as site:
        assert (await site.ask("GET", METADATA, None, options)).status == 200
        (received,) = upstream.requests
        assert {name: received.get(name) for name in MEMBER} == MEMBER
        assert received.get("X-Auth-Token") == MEMBER_TOKEN


async def test_the_upstream_gets_the_request_and_what_the_gateway_knows_of_it(deploy: Deploy) -> None:
    body = b'{"metadata":  {"a": "b"}}'
    data = request("POST", f"{METADATA}?x=%20y&", body, "X-Unknown: 1", "x-unknown: 2", "Via: 1.0 fred")
    async with Upstream(answers(OK)) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.send(data)
        record = await site.record(answer)
        (received,) = upstream.requests
    assert (received.method, received.target) == ("POST", f"{METADATA}?x=%20y&".encode())
    assert received.body == body
    ours = received.all("Via").pop()
    assert ours == answer.get("Via")
    assert received.head.lines == [
        ("Host", "api.test"),
        ("X-Unknown", "1"),
        ("x-unknown", "2"),
        ("Via", "1.0 fred"),
        ("X-Auth-Token", MEMBER_TOKEN),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *MEMBER.items(),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "api.test"),
        ("Via", ours),
        ("X-Openstack-Request-Id", record["gateway.request_id"]),
    ]


async def test_the_token_stays_here_where_that_is_configured(deploy: Deploy) -> None:
    edits = {"      forward_token: true ": "      forward_token: false "}
    async with Upstream(answers(OK)) as upstream, deploy(edits, upstream=upstream.url) as site:
        assert (await site.ask("GET", METADATA, None, "X_Auth_Token: spoofed-token")).status == 200
        (received,) = upstream.requests
        assert [name for name in received.names if "token" in name] == []
        assert received.get("X-User-Id") == MEMBER["X-User-Id"]


async def test_a_second_token_in_another_spelling_is_dropped(deploy: Deploy) -> None:
    async with Upstream(answers(OK)) as upstream, deploy(upstream=upstream.url) as site:
        assert (await site.ask("GET", METADATA, None, f"X_Auth-Token: {READER_TOKEN}")).status == 200
        (received,) = upstream.requests
        tokens = [line for line in received.head.lines if "token" in line[0].lower()]
        assert tokens == [("X-Auth-Token", MEMBER_TOKEN)]


async def test_the_api_sees_the_identity_of_the_token(site: Deployment) -> None:
    """A reader who calls itself a member of any spelling still may not write."""
    lines = [f"{name}: admin" for name in (*spellings("X-Roles"), *spellings("X-Role"))]
    body = b'{"metadata": {"a": "b"}}'
    answer = await site.ask("POST", METADATA, body, *lines, token=READER_TOKEN)
    assert (answer.status, answer.fault) == (403, "forbidden")
    assert (await site.ask("GET")).json() == {"metadata": SAMPLE_METADATA}


async def test_the_api_sees_the_project_of_the_token(site: Deployment) -> None:
    other = "c2b94f6de8074c1aa1d35b7e90f64a28"
    lines = [f"{name}: {other}" for name in (*spellings("X-Project-Id"), *spellings("X-Tenant-Id"))]
    answer = await site.ask("GET", METADATA.replace(SAMPLE_PROJECT, other), None, *lines)
    assert answer.status == 400
    assert answer.json()["badRequest"]["message"].endswith(
        f"doesn't match Context's project_id '{SAMPLE_PROJECT}'"
    )


async def test_the_record_knows_the_principal(site: Deployment) -> None:
    record = await site.record(await site.ask("GET"))
    assert record["user.id"] == MEMBER["X-User-Id"]
    assert record["user.name"] == "demo-member"
    assert record["user.roles"] == ["member", "reader"]
    assert record["gateway.project.id"] == SAMPLE_PROJECT
    assert record["gateway.project.name"] == "demo"
