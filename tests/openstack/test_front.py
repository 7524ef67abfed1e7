"""What the gateway before a cloud says of its own accord, where a cloud's own word is at hand to compare."""

from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from tests.openstack.cloud import Cloud
from tests.openstack.front import Front

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def status(url: str, token: str = "") -> int:
    fields = {"X-Auth-Token": token} if token else {}
    async with ClientSession() as session, session.get(url, headers=fields) as answer:
        return answer.status


async def test_access_rules_name_paths_as_the_client_has_them(cloud: Cloud, front: Front) -> None:
    keystone = cloud.keystone
    token = await keystone.token("demo", "demo-password", "demo")
    paths = {"/v2.1/limits", "/compute/v2.1/flavors"}
    credential = await keystone.made(
        f"/users/{await keystone.user_id(token)}/application_credentials",
        token,
        application_credential={
            "name": "limited",
            "access_rules": [{"path": path, "method": "GET", "service": "compute"} for path in sorted(paths)],
        },
    )
    limited = await keystone.token_of_credential(credential["id"], credential["secret"])
    for way, prefix in ((front.hosts, ""), (front.prefix, "/compute")):
        for resource in ("limits", "flavors", "servers"):
            path = f"{prefix}/v2.1/{resource}"
            expected = 200 if path in paths else 401
            through = f"http://{urlsplit(way.endpoints.compute).netloc}{path}"
            assert await status(through, limited) == expected, path
            assert await status(f"{cloud.nova.root}{path}", limited) == expected, path
            assert await status(through, token) == 200, path
    images = f"{front.hosts.endpoints.image}/v2/images"
    assert await status(images, limited) == await status(f"{cloud.glance.root}/v2/images", limited) == 401


async def test_known_callers_go_on_while_keystone_is_away(cloud: Cloud, front: Front) -> None:
    """As they do at Nova, which remembers tokens too."""
    keystone = cloud.keystone
    known, unknown = [await keystone.token("demo", "demo-password", "demo") for _ in range(2)]
    limits = f"{front.hosts.endpoints.compute}/limits"
    assert await status(limits, known) == 200
    await keystone.kill()
    try:
        assert await status(limits, known) == 200
        assert await status(limits, unknown) == 503
        assert await status(f"{cloud.nova.root}/v2.1/limits", unknown) == 503
        assert await status(limits) == 401
    finally:
        await keystone.start()
    assert await status(limits, unknown) == 200
