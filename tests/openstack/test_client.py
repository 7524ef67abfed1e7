"""Clients that OpenStack's users have, with identity, image and compute all behind the gateway."""

import asyncio
from pathlib import Path

import pytest

from tests.openstack.client import nova, openstack, sdk
from tests.openstack.cloud import DIRECT, Cloud
from tests.openstack.front import Front, Way

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("form", ["hosts", "prefix"]),
]


def way(front: Front, form: str) -> Way:
    return front.hosts if form == "hosts" else front.prefix


async def made(way: Way, file: Path, name: str) -> str:
    """The id of a new image."""
    file.write_bytes(b"image " * 50_000)
    options = ("--disk-format", "raw", "--container-format", "bare", "--file", str(file))
    answer = await openstack(way, "image", "create", *options, name, "-f", "json", "-c", "id")
    return str(answer["id"])


async def metadata(way: Way, image: str) -> dict[str, str]:
    """What the image has of the properties that these tests give it."""
    shown = await openstack(way, "image", "show", image, "-f", "json")
    return {name: value for name, value in shown["properties"].items() if name in ("colour", "shape")}


async def test_the_openstack_command_works(front: Front, form: str, tmp_path: Path) -> None:
    through = way(front, form)
    async with front.sees_all():
        token = await openstack(through, "token", "issue", "-f", "json")
        assert token["id"]
        catalog = await openstack(through, "catalog", "list", "-f", "json")
        listed = {
            service["Type"]: endpoint["url"]
            for service in catalog
            for endpoint in service["Endpoints"]
            if (endpoint["region"], endpoint["interface"]) == (through.region, "public")
        }
        assert listed == through.endpoints._asdict()
        image = await made(through, tmp_path / "image", f"openstack {form}")
        assert image in [one["ID"] for one in await openstack(through, "image", "list", "-f", "json")]
        await openstack(through, "image", "set", "--property", "colour=blue", image)
        assert await metadata(through, image) == {"colour": "blue"}
        await openstack(through, "image", "unset", "--property", "colour", image)
        assert await metadata(through, image) == {}
        copy = tmp_path / "copy"
        await openstack(through, "image", "save", "--file", str(copy), image)
        assert await asyncio.to_thread(copy.read_bytes) == (tmp_path / "image").read_bytes()
        limits = await openstack(through, "limits", "show", "--absolute", "-f", "json")
        assert {limit["Name"] for limit in limits} >= {"image_meta", "instances"}
        rates = await openstack(through, "limits", "show", "--rate", "-f", "json")
        assert [(rate["Verb"], rate["Value"], rate["Unit"]) for rate in rates] == [
            ("GET", 3000, "MINUTE"),
            ("HEAD", 3000, "MINUTE"),
            *((verb, 300, "MINUTE") for verb in ("DELETE", "PATCH", "POST", "PUT")),
        ]
        assert all(0 < rate["Remain"] <= rate["Value"] for rate in rates)
        assert await openstack(through, "server", "list", "-f", "json") == []
        assert await openstack(through, "flavor", "list", "-f", "json") == []


async def test_novaclient_sets_and_deletes_metadata_of_images(
    front: Front, form: str, tmp_path: Path
) -> None:
    through = way(front, form)
    async with front.sees_all():
        image = await made(through, tmp_path / "image", f"nova {form}")
        await nova(through, "image-meta", image, "set", "colour=blue", "shape=round")
        assert await metadata(through, image) == {"colour": "blue", "shape": "round"}
        await nova(through, "image-meta", image, "delete", "colour")
        assert await metadata(through, image) == {"shape": "round"}


async def test_the_sdk_does_what_it_does_without_the_gateway(
    cloud: Cloud, front: Front, form: str, tmp_path: Path
) -> None:
    through = way(front, form)
    async with front.sees_all():
        image = await made(through, tmp_path / "image", f"sdk {form}")
        given = await sdk(through, image)
    assert given == await sdk(Way(DIRECT, cloud.endpoints), image) | {
        "compute endpoint": through.endpoints.compute,
        "image endpoint": f"{through.endpoints.image}/v2/",
    }
    assert {"one", "two"} <= set(given["set"])
    assert {"one", "two"} & set(given["left"]) == {"two"}
    assert given["downloaded"] == 300_000
