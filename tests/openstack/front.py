"""The gateway in front of a cloud, as config/examples/openstack.yaml has it, and the two ways to come through it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from gateway.config.model import Address
from tests.openstack.cloud import Cloud, Endpoints
from tests.openstack.service import Request
from tests.support.deadline import until
from tests.support.gateway import PSEUDONYM, Running, merged, running

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "openstack.yaml"

_HOSTS = {
    "IDENTITY_HOST": "127.0.0.1",
    "IMAGE_HOST": "127.0.0.2",
    "COMPUTE_HOST": "127.0.0.3",
    "API_HOST": "127.0.0.4",
}
"""Four hosts without a name server: each is this host's."""

_OTHERS = (
    "Weir/",
    "Python/",  # the tests
    "glance/",
    "nova/",
    "nova.wsgi",
    "python-glanceclient",  # of Nova
    "python-keystoneclient",  # of keystonemiddleware
)
"""Who asks services beside the clients, and is right to ask them directly; by what they call themselves."""


class Way(NamedTuple):
    """How a client comes to the services: where it gets a token, and the region whose addresses it then uses."""

    region: str
    endpoints: Endpoints

    @property
    def auth_url(self) -> str:
        return self.endpoints.identity


class Front:
    """The running gateway before `cloud`."""

    def __init__(self, cloud: Cloud, gateway: Running) -> None:
        self._cloud = cloud
        self.gateway = gateway
        places = [place for place in gateway.gateway.addresses if isinstance(place, Address)]
        identity, image, compute, api = (f"http://{place}" for place in places)
        self.hosts = Way("by-host", Endpoints(f"{identity}/v3", image, f"{compute}/v2.1"))
        self.prefix = Way("by-prefix", Endpoints(f"{api}/identity/v3", f"{api}/image", f"{api}/compute/v2.1"))

    @asynccontextmanager
    async def sees_all(self) -> AsyncIterator[None]:
        """Whatever clients ask the services meanwhile, they ask through the gateway, and each service is asked."""
        services = self._cloud.services
        before = [len(service.requests) for service in services]
        recorded = len(self._records())
        yield
        asked = [
            [request for request in service.requests[start:] if _of_client(request)]
            for service, start in zip(services, before, strict=True)
        ]
        assert all(asked), [len(requests) for requests in asked]
        count = sum(map(len, asked))
        via = {request.via for requests in asked for request in requests}
        assert via == {f"1.1 {PSEUDONYM}"}, "a client has gone around the gateway"
        await until(lambda: len(self._records()) - recorded >= count, "the gateway has recorded them")
        assert len(self._records()) - recorded == count

    def _records(self) -> list[Any]:
        """Of requests that the gateway has forwarded for clients."""
        return [record for record in self.gateway.gateway.records if "gateway.upstream.address" in record]

    @classmethod
    @asynccontextmanager
    async def before(cls, cloud: Cloud) -> AsyncIterator[Self]:
        example = yaml.safe_load(EXAMPLE.read_text())
        changed = {
            "listen": [f"{host}:0" for host in _HOSTS.values()],
            "admin": None,
            "log": {"path": None},
            "via": {"pseudonym": PSEUDONYM, "comment": False},
        }
        variables = {
            **_HOSTS,
            "KEYSTONE": cloud.keystone.root,
            "GLANCE": cloud.glance.root,
            "NOVA": cloud.nova.root,
            "KEYSTONE_PASSWORD": "gateway-password",
            "AUTH_URL": cloud.keystone.url,
        }
        text = yaml.safe_dump(merged(example, changed), sort_keys=False)
        async with running(text, environment=variables) as gateway:
            front = cls(cloud, gateway)
            for way in (front.hosts, front.prefix):
                await cloud.add_region(way.region, way.endpoints)
            yield front


def _of_client(request: Request) -> bool:
    return not (request.agent or "").startswith(_OTHERS)
