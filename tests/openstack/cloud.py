"""A cloud of three services, Keystone, Glance and Nova, with a catalog that says where each is."""

import asyncio
import sqlite3
from pathlib import Path
from typing import NamedTuple, Self

from tests.openstack import configuration
from tests.openstack.install import ADMIN, data, paste
from tests.openstack.keystone import Keystone
from tests.openstack.service import Service, fresh

DIRECT = "RegionOne"
"""The region whose endpoints are the services themselves."""


class Endpoints(NamedTuple):
    """What a region's catalog has of each service."""

    identity: str
    image: str
    compute: str


class Cloud:
    """Services that know each other by their own addresses; clients choose by a region how they come to them."""

    def __init__(self, keystone: Keystone, glance: Service, nova: Service) -> None:
        self.keystone = keystone
        self.glance = glance
        self.nova = nova

    @classmethod
    def over(cls, place: Path) -> Self:
        """One with data of its own below `place`; nothing is started."""
        keystone = Keystone(fresh("keystone", place))
        glance_at, nova_at = fresh("glance", place), fresh("nova", place)
        glance = Service(
            glance_at,
            "glance",
            "glance.wsgi.api",
            "/image",
            {"OS_GLANCE_CONFIG_DIR": str(glance_at), "OS_GLANCE_CONFIG_FILES": "glance-api.conf"},
        )
        nova = Service(
            nova_at,
            "nova",
            "nova.wsgi.osapi_compute",
            "/compute",
            # The first file is taken for that of the application.
            {"OS_NOVA_CONFIG_DIR": str(nova_at), "OS_NOVA_CONFIG_FILES": f"{paste('nova')};nova.conf"},
        )
        return cls(keystone, glance, nova)

    @property
    def services(self) -> tuple[Service, ...]:
        return self.keystone, self.glance, self.nova

    @property
    def endpoints(self) -> Endpoints:
        """Where the services themselves are."""
        return Endpoints(self.keystone.url, self.glance.root, f"{self.nova.root}/v2.1")

    async def start(self) -> None:
        """All three, and the people who use them."""
        await self.keystone.start()
        await self.keystone.populate()
        identity = self.keystone.url
        configuration.glance(self.glance.place, paste("glance"), identity)
        await self.glance.start()
        configuration.nova(self.nova.place, paste("nova"), identity, self.glance.root)
        _move_cells(self.nova.place)
        await self.nova.start()
        await self._catalog()

    async def kill(self) -> None:
        await asyncio.gather(*(service.kill() for service in self.services))

    async def _catalog(self) -> None:
        keystone = self.keystone
        admin = await keystone.token("admin", ADMIN, "admin")
        for name, type in (("keystone", "identity"), ("glance", "image"), ("nova", "compute")):
            await keystone.made("/services", admin, service={"name": name, "type": type})
        await self.add_region(DIRECT, self.endpoints)

    async def add_region(self, name: str, endpoints: Endpoints) -> None:
        """A region of which a client learns other addresses of the same services."""
        keystone = self.keystone
        admin = await keystone.token("admin", ADMIN, "admin")
        status, _, _ = await keystone.ask("GET", f"/regions/{name}", admin)
        if status == 404:
            await keystone.made("/regions", admin, region={"id": name})
        _, _, answer = await keystone.ask("GET", "/services", admin)
        ids = {service["type"]: service["id"] for service in answer["services"]}
        for type, url in endpoints._asdict().items():
            for interface in ("public", "internal"):
                endpoint = {
                    "service_id": ids[type],
                    "interface": interface,
                    "region_id": name,
                    "url": url,
                }
                await keystone.made("/endpoints", admin, endpoint=endpoint)


def _move_cells(place: Path) -> None:
    """Nova's list of databases has their absolute paths, which are those of the original."""
    with sqlite3.connect(place / "nova_api.db") as database:
        database.execute(
            "UPDATE cell_mappings SET database_connection = replace(database_connection, ?, ?)",
            (str(data("nova")), str(place)),
        )
    database.close()
