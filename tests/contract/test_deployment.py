"""What the other tests stand on: the shipped file itself is in force, and a leak would not go unseen."""

import json
import re
from pathlib import Path

import pytest

from tests.contract.deployment import (
    LABEL,
    METADATA,
    SHIPPED,
    Deploy,
    Deployment,
    configured,
    leaked,
    request,
)


def test_only_four_addresses_differ_from_the_shipped_file() -> None:
    shipped = SHIPPED.read_text().splitlines()
    deployed = configured("http://127.0.0.1:1", Path("/log"), {}).splitlines()
    assert len(shipped) == len(deployed)
    differing = [new for old, new in zip(shipped, deployed, strict=True) if old != new]
    assert [line.split(":")[0].strip() for line in differing] == ["listen", "admin", "endpoints", "path"]


def test_an_edit_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(AssertionError, match="0 times"):
        configured("http://127.0.0.1:1", Path("/log"), {"no such text": ""})


@pytest.mark.parametrize("secret", ["demo-member-token", 'a"quoted\\token', "t\u00f6ken-\u2028-token"])
def test_a_leak_is_seen_in_whatever_spelling(secret: str) -> None:
    line = json.dumps({"facts": {"headers": [f"x {secret} y"]}})
    assert leaked({secret, "another-token"}, f"{line}\n") == [secret]
    encoded = json.dumps({"url.path": "/" + "".join(f"%{byte:02X}" for byte in secret.encode())})
    assert leaked({secret}, encoded) == [secret]
    assert leaked({secret}, json.dumps({"facts": {"hash": "0f"}})) == []


async def test_every_credential_that_is_sent_is_looked_for(deploy: Deploy) -> None:
    async with deploy() as site:
        await site.ask(
            "GET",
            METADATA,
            None,
            "Cookie: session=c00kie-value; other=second-value",
            "Authorization: Basic dXNlcjpwYXNzd29yZA==",
            "X-Service-Token: service-token-value",
        )
        assert site.secrets >= {
            "demo-member-token",
            "c00kie-value",
            "second-value",
            "dXNlcjpwYXNzd29yZA==".rstrip("="),
            "service-token-value",
        }


async def test_the_admin_listener_answers_beside_it(site: Deployment) -> None:
    from tests.support.client import Client, get

    await site.ask("GET", LABEL)
    await site.ask("DELETE")
    await site.gateway.records(2)
    address = site.gateway.gateway.admin_address
    assert address is not None
    async with await Client.connect(address) as client:
        assert (await client.ask(get("/readyz", host="localhost"))).status == 200
        metrics = (await client.ask(get("/metrics", host="localhost"))).body.decode()
    counted = re.findall(
        r"^http_server_request_duration_seconds_count\{(.*)\} 1(?:\.0)?$", metrics, re.MULTILINE
    )
    routes = sorted(re.findall(r'http_route="([^"]*)"', " ".join(counted)))
    assert routes == [
        "/v2/{project_id}/images/{image_id}/metadata",
        "/v2/{project_id}/images/{image_id}/metadata/{key}",
    ]


def test_a_request_is_what_it_says() -> None:
    assert request("PUT", "/a", b"x", "A: b", token="t", content_type=None) == (
        b"PUT /a HTTP/1.1\r\nHost: api.test\r\nA: b\r\nX-Auth-Token: t\r\nContent-Length: 1\r\n\r\nx"
    )
