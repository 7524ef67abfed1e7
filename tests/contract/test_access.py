"""401 and 403: who calls, and what the caller may do."""

import pytest

from gateway.demo.sample import (
    ADMIN_TOKEN,
    FOREIGN_IMAGE,
    MEMBER_TOKEN,
    PUBLIC_IMAGE,
    READER_TOKEN,
    SAMPLE_IMAGE,
    SAMPLE_METADATA,
    SAMPLE_PROJECT,
)
from tests.contract.answer import JSON, XML, XMLNS, made_here, passed_on
from tests.contract.deployment import METADATA, Deploy, Deployment, request

CHALLENGE = {"WWW-Authenticate": "Keystone"}
MISSING = '{"unauthorized": {"code": 401, "message": "The request you have made requires authentication."}}'
INVALID = '{"unauthorized": {"code": 401, "message": "The token is not valid."}}'

EXPIRED = {
    "                roles: [reader]\n": "                roles: [reader]\n                expires: 2023-11-14T22:13:20Z\n"
}
VALID_A_SECOND_MORE = {
    "                roles: [reader]\n": "                roles: [reader]\n                expires: 2023-11-14T22:13:21Z\n"
}


@pytest.mark.parametrize(
    "line", [None, "X-Auth-Token:", "X-Auth-Token: \t ", f"Authorization: Bearer {MEMBER_TOKEN}"]
)
async def test_no_token_is_401(site: Deployment, line: str | None) -> None:
    answer = await site.ask("GET", METADATA, None, *([line] if line else []), token=None)
    made_here(answer, 401, MISSING, CHALLENGE)
    record = await site.decided(answer, "token_missing", "token_auth", "providers:")
    assert "user.id" not in record


@pytest.mark.parametrize(
    "token",
    ["f064c46a782c444cb4ba4b6434288f7c", MEMBER_TOKEN.upper(), MEMBER_TOKEN + "x", "x" * 9000, "a b c d e f"],
)
async def test_a_token_that_nobody_knows_is_401(site: Deployment, token: str) -> None:
    for _ in range(2):  # asked for, then remembered
        answer = await site.ask("GET", token=token)
        made_here(answer, 401, INVALID, CHALLENGE)
        await site.decided(answer, "token_invalid", "token_auth", "providers:")


@pytest.mark.parametrize(
    "token", ["demo-member-tok\u00e9n", "\u00ff\u00fe\u0080-member-token", "demo-member-token\u00a0"]
)
async def test_a_token_that_is_not_ascii_is_401(site: Deployment, token: str) -> None:
    answer = await site.ask("GET", token=token)
    made_here(answer, 401, INVALID, CHALLENGE)
    await site.decided(answer, "token_invalid", "token_auth", "providers:")


async def test_an_expired_token_is_401(deploy: Deploy) -> None:
    async with deploy(EXPIRED) as site:
        answer = await site.ask("GET", token=READER_TOKEN)
        made_here(
            answer, 401, '{"unauthorized": {"code": 401, "message": "The token has expired."}}', CHALLENGE
        )
        await site.decided(answer, "token_expired", "token_auth", "static:")


async def test_a_token_that_is_remembered_expires_in_its_time(deploy: Deploy) -> None:
    async with deploy(VALID_A_SECOND_MORE) as site:
        assert (await site.ask("GET", token=READER_TOKEN)).status == 200
        site.clock.advance(1.0)
        answer = await site.ask("GET", token=READER_TOKEN)
        assert answer.status == 401
        await site.decided(answer, "token_expired", "token_auth", "static:")


@pytest.mark.parametrize("second", [MEMBER_TOKEN, READER_TOKEN, ""])
async def test_two_tokens_are_401(site: Deployment, second: str) -> None:
    answer = await site.ask("GET", METADATA, None, f"X-Auth-Token: {second}")
    told = '{"unauthorized": {"code": 401, "message": "The request carries more than one token."}}'
    made_here(answer, 401, told, CHALLENGE)
    await site.decided(answer, "token_ambiguous", "token_auth", "providers:")


async def test_a_401_in_xml(site: Deployment) -> None:
    answer = await site.ask("GET", METADATA, None, "Accept: application/xml", token=None)
    told = (
        f'<unauthorized code="401" {XMLNS}>'
        "<message>The request you have made requires authentication.</message></unauthorized>"
    )
    made_here(answer, 401, told, CHALLENGE, content_type=XML)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", METADATA),
        ("PATCH", METADATA),
        ("GET", "/v2/nowhere"),
        ("GET", "/v2/p/images/garbage/metadata"),
        ("POST", f"{METADATA}/label"),
    ],
)
async def test_without_a_token_a_caller_learns_nothing_but_401(
    site: Deployment, method: str, target: str
) -> None:
    made_here(await site.ask(method, target, token=None), 401, MISSING, CHALLENGE)


async def test_where_a_token_is_to_be_had_is_said_in_quotes(deploy: Deploy) -> None:
    async with deploy(
        {"# auth_url: http://127.0.0.1:5000/v3 ": "auth_url: http://127.0.0.1:5000/v3 #"}
    ) as site:
        answer = await site.ask("GET", token=None)
        made_here(answer, 401, MISSING, {"WWW-Authenticate": 'Keystone uri="http://127.0.0.1:5000/v3"'})


DELAYED = {"      delay_auth_decision: false  ": "      delay_auth_decision: true  "}
FROM_THE_API = {"WWW-Authenticate": 'Keystone realm="image-metadata"'}


@pytest.mark.parametrize("token", [None, "f064c46a782c444cb4ba4b6434288f7c"])
async def test_where_the_decision_is_delayed_the_api_decides(deploy: Deploy, token: str | None) -> None:
    """The 401 is the upstream's, whose WWW-Authenticate passes as it is; a claim to be confirmed does not help."""
    async with deploy(DELAYED) as site:
        answer = await site.ask("GET", METADATA, None, "X-Identity-Status: Confirmed", token=token)
        passed_on(answer, 401, MISSING, FROM_THE_API, content_type=JSON)
        record = await site.decided(answer, "passed")
        assert record["gateway.filters"][0]["reason"] == "auth_decision_delayed"
        assert record["gateway.filters"][0]["facts"]["because"] == (
            "token_invalid" if token else "token_missing"
        )
        assert (await site.ask("GET")).status == 200


# ---- 403


def not_authorized(image: str) -> str:
    return f'{{"forbidden": {{"code": 403, "message": "Not authorized for image {image}."}}}}'


async def test_a_reader_does_not_write(site: Deployment) -> None:
    for method, target, body in (
        ("POST", METADATA, {"metadata": {"a": "b"}}),
        ("PUT", METADATA, {"metadata": {"a": "b"}}),
        ("PUT", f"{METADATA}/label", {"meta": {"label": "b"}}),
    ):
        answer = await site.write(body, method, target, token=READER_TOKEN)
        passed_on(answer, 403, not_authorized(SAMPLE_IMAGE), content_type=JSON)
        assert (await site.decided(answer, "passed"))["user.name"] == "demo-reader"
    answer = await site.ask("DELETE", f"{METADATA}/label", token=READER_TOKEN)
    passed_on(answer, 403, not_authorized(SAMPLE_IMAGE), content_type=JSON)
    assert (await site.ask("GET")).json() == {"metadata": SAMPLE_METADATA}


async def test_nobody_writes_to_the_public_image_of_another_project(site: Deployment) -> None:
    target = f"/v2/{SAMPLE_PROJECT}/images/{PUBLIC_IMAGE}/metadata"
    answer = await site.write({"metadata": {"a": "b"}}, "POST", target)
    passed_on(answer, 403, not_authorized(PUBLIC_IMAGE), content_type=JSON)


async def test_the_image_of_another_project_is_not_there(site: Deployment) -> None:
    answer = await site.ask("GET", f"/v2/{SAMPLE_PROJECT}/images/{FOREIGN_IMAGE}/metadata")
    passed_on(
        answer, 404, '{"itemNotFound": {"code": 404, "message": "Image not found."}}', content_type=JSON
    )


async def test_its_owner_sees_it(site: Deployment) -> None:
    other = "c2b94f6de8074c1aa1d35b7e90f64a28"
    answer = await site.ask("GET", f"/v2/{other}/images/{FOREIGN_IMAGE}/metadata", token=ADMIN_TOKEN)
    passed_on(answer, 200, '{"metadata": {"label": "Hidden"}}')


IP_ALLOW = {"      # - ip_allow: { allow: [192.0.2.0/24] }": "      - ip_allow: { allow: [192.0.2.0/24] }"}
DENIED = '{"forbidden": {"code": 403, "message": "Access from this address is not allowed."}}'


@pytest.mark.parametrize(
    "line", ["X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "X-Real-IP: 192.0.2.7", "X-A: b"]
)
async def test_an_address_that_is_not_allowed_is_403_whatever_it_says_of_itself(
    deploy: Deploy, line: str
) -> None:
    async with deploy(IP_ALLOW) as site:
        answer = await site.ask("GET", METADATA, None, line)
        made_here(answer, 403, DENIED)
        record = await site.decided(answer, "address_denied", "ip_allow", "allow:")
        assert record["client.address"] == "127.0.0.1"


async def test_a_403_in_xml(deploy: Deploy) -> None:
    async with deploy(IP_ALLOW) as site:
        answer = await site.ask("GET", METADATA, None, "Accept: application/xml")
        told = (
            f'<forbidden code="403" {XMLNS}>'
            "<message>Access from this address is not allowed.</message></forbidden>"
        )
        made_here(answer, 403, told, content_type=XML)


async def test_a_client_behind_a_trusted_proxy_is_judged_by_its_own_address(deploy: Deploy) -> None:
    trusting = IP_ALLOW | {"trusted_proxies: [] ": "trusted_proxies: [127.0.0.0/8] "}
    async with deploy(trusting) as site:
        assert (await site.ask("GET", METADATA, None, "X-Forwarded-For: 192.0.2.7")).status == 200
        assert (
            await site.ask("GET", METADATA, None, "X-Forwarded-For: 192.0.2.7, 198.51.100.1")
        ).status == 403
        site.clock.advance(1)
        data = request("GET", METADATA, None, "X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 198.51.100.1")
        assert (await site.send(data)).status == 403
