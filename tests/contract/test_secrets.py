"""No token, cookie or credential is ever written down, whatever becomes of the request that carries it."""

import json
from urllib.parse import quote

import pytest

from gateway.demo.sample import ADMIN_TOKEN, BROKEN_IMAGE, MEMBER_TOKEN, READER_TOKEN, SAMPLE_PROJECT
from tests.contract.deployment import IMAGE, LABEL, METADATA, Deploy, leaked

UNKNOWN_TOKEN = "f064c46a782c444cb4ba4b6434288f7c"
COOKIE = "sessi0n-c00kie-value"
BASIC = "d2Vpcjp2ZXJ5LXNlY3JldA=="
BEARER = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3ZWlyIn0.c2lnbmF0dXJl"
SERVICE_TOKEN = "a-service-token-of-somebody"

CREDENTIALS = (
    f"Cookie: a=b; session={COOKIE}",
    f"Authorization: Basic {BASIC}",
    f"Proxy-Authorization: Bearer {BEARER}",
    f"X-Service-Token: {SERVICE_TOKEN}",
    f"X-Subject-Token: {UNKNOWN_TOKEN}",
)

ALL = (MEMBER_TOKEN, READER_TOKEN, ADMIN_TOKEN, UNKNOWN_TOKEN, COOKIE, BASIC, BEARER, SERVICE_TOKEN)
VARIANT = {
    "      # - ip_allow: { allow: [192.0.2.0/24] }": "      - contract.broken: { when: { header: { X-Break: '1' } } }"
}


async def test_a_run_of_everything_leaves_no_credential_in_any_log(
    deploy: Deploy, capfd: pytest.CaptureFixture[str]
) -> None:
    async with deploy(VARIANT) as site:
        for token in (MEMBER_TOKEN, READER_TOKEN, ADMIN_TOKEN, UNKNOWN_TOKEN):
            for method, target, body in (
                ("GET", METADATA, None),
                ("GET", LABEL, None),
                ("DELETE", METADATA, None),
                ("POST", METADATA, b'{"metadata": {"a": "b"}}'),
                ("POST", METADATA, b"{"),
                ("PUT", METADATA, b'{"metadata": {}}'),
                ("PUT", METADATA, b"[]"),
                ("PUT", LABEL, b'{"meta": {"label": "b"}}'),
                ("GET", "/nowhere", None),
                ("GET", f"{IMAGE}/../metadata", None),
                ("GET", f"/v2/{SAMPLE_PROJECT}/images/{BROKEN_IMAGE}/metadata", None),
                ("GET", "/v2/p/images/garbage/metadata", None),
            ):
                await site.ask(method, target, body, *CREDENTIALS, token=token)
            # Where no credential belongs, and people put them all the same.
            for odd in (
                f"{METADATA}?token={token}",
                f"{METADATA}?X-Auth-Token={token}&a=b",
                f"{METADATA}?a={token}",
                f"{METADATA}/{token}",
                f"{METADATA}/{quote(token).replace('e', '%65')}",
                f"/v2/{token}/images/{token}/metadata",
            ):
                await site.ask("GET", odd, token=token)
            for line in (
                f"User-Agent: curl/8 ({token})",
                f"Content-Type: text/{token}",
                f"Accept: application/{token}",
                f"X-Openstack-Request-Id: {token}",
                f"X-Forwarded-For: {token}",
                f"Referer: http://api.test/?token={token}",
                f"X-Auth-Token: {token}",
                f"X_Auth_Token: {token}",
            ):
                await site.ask("PATCH", METADATA, None, line, token=token)
            await site.ask("GET", METADATA, None, "X-Break: 1", *CREDENTIALS, token=token)
        for token in (f"{MEMBER_TOKEN}\u00e9", f"{MEMBER_TOKEN}\t{READER_TOKEN}", f'{MEMBER_TOKEN}"\\'):
            await site.ask("GET", METADATA, None, f"User-Agent: {token}", token=token)
        assert set(site.gateway.bugs) == {"contract.broken.on_request"}
        assert site.secrets >= set(ALL) - {BASIC}
    # Both are checked against what was sent at the end of every deployment; here once more by name.
    told = site.log.read_text()
    lines = map(json.loads, told.splitlines())
    kinds = {line["gateway.reason"] for line in lines if line["kind"] == "request"}
    assert kinds >= {
        "passed",
        "token_invalid",
        "token_ambiguous",
        "method_not_allowed",
        "route_not_found",
        "target_ambiguous",
        "uuid_invalid",
        "filter_failed",
        "rate_limited",
    }
    assert leaked({*ALL, BASIC.rstrip("=")}, told) == []
    output = capfd.readouterr()
    assert leaked(set(ALL), output.out + output.err) == []


@pytest.mark.parametrize("token", [MEMBER_TOKEN, UNKNOWN_TOKEN])
async def test_no_answer_of_the_gateway_shows_a_token(deploy: Deploy, token: str) -> None:
    async with deploy() as site:
        for answer in (
            await site.ask("DELETE", METADATA, None, token=token),
            await site.ask("GET", METADATA, None, f"X-Auth-Token: {token}", token=token),
            await site.ask("GET", f"/{token}", token=token),
            await site.ask("GET", f"/v2/p/images/{token}/metadata", token=token),
            await site.ask("GET", f"/%/{token}", token=token),
            await site.ask("POST", METADATA, b"{}", content_type=f"text/{token}", token=token),
        ):
            assert answer.status >= 400
            assert token.encode() not in answer.body
            assert token not in str(answer.head.lines)


async def test_a_token_is_told_by_a_keyed_hash(deploy: Deploy) -> None:
    async with deploy({"  hash_key: null ": "  hash_key: a-configured-hash-key "}) as site:
        first = await site.record(await site.ask("GET"))
        second = await site.record(await site.ask("DELETE"))
        other = await site.record(await site.ask("GET", token=READER_TOKEN))
    hashes = [record["gateway.facts"]["headers"]["x-auth-token"]["hash"] for record in (first, second, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert "a-configured-hash-key" not in site.log.read_text()
