"""The gateway changes what is said to change, and nothing else: every request is sent to the service and to the gateway."""

import asyncio
import http.client
import json
import uuid
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.openstack.cloud import Cloud
from tests.openstack.difference import KINDS, Answer, Ask, Pair, differences, kind_of
from tests.openstack.front import Front
from tests.openstack.install import ADMIN
from tests.openstack.traffic import CHUNKED, OCTETS, REQUESTS

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]


class Side(NamedTuple):
    """What the requests of one side are filled with: its own images, which are as those of the other."""

    known: Mapping[str, str]

    def filled(self, text: str) -> str:
        for name, value in self.known.items():
            text = text.replace(f"{{{name}}}", value)
        return text


IMAGES = ("image", "public", "queued", "streamed", "expected")
"""The first two have data."""


def send(place: str, host: str, ask: Ask, side: Side) -> Answer:
    """Sends it to host:port as it is, which no client library does, and reads whatever comes."""
    connection = http.client.HTTPConnection(place, timeout=60)
    try:
        connection.putrequest(ask.method, side.filled(ask.path), skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        if ask.token:
            connection.putheader("X-Auth-Token", side.known[ask.token])
        for name, value in ask.headers:
            connection.putheader(name, side.filled(value))
        chunked = CHUNKED in ask.headers
        if ask.body is not None and not chunked:
            connection.putheader("Content-Length", str(len(ask.body)))
        connection.endheaders([ask.body] if ask.body and chunked else ask.body, encode_chunked=chunked)
        answer = connection.getresponse()
        fields: dict[str, tuple[str, ...]] = {}
        for name, value in answer.getheaders():
            fields[name.lower()] = (*fields.get(name.lower(), ()), value)
        return Answer(answer.status, fields, answer.read())
    finally:
        connection.close()


async def tokens(cloud: Cloud) -> dict[str, str]:
    keystone = cloud.keystone
    made = {name: await keystone.token(name, f"{name}-password", "demo") for name in ("demo", "reader")}
    made["other"] = await keystone.token("other", "other-password", "other")
    made["admin"] = await keystone.token("admin", ADMIN, "admin")
    made["service"] = await keystone.token("nova", "nova-password", "service")
    made["unscoped"] = await keystone.token("demo", "demo-password")
    made["revoked"] = await keystone.token("demo", "demo-password", "demo")
    made["project"] = await keystone.project_id(made["demo"])
    await keystone.revoke(made["revoked"])
    return {**made, "garbage": "garbage", "unknown": str(uuid.uuid4())}


async def prepared(cloud: Cloud, common: Mapping[str, str]) -> Side:
    """Images of a side: one with data, one with data of somebody else that all see, and some that wait for theirs."""
    side, place = Side(dict(common)), urlsplit(cloud.glance.root).netloc

    async def asked(ask: Ask) -> Answer:
        answer = await asyncio.to_thread(send, place, place, ask, side)
        assert answer.status < 300, answer
        return answer

    images = {}
    for name in IMAGES:
        token, visibility = ("admin", "public") if name == "public" else ("demo", "private")
        wanted = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": visibility}
        body = json.dumps(wanted).encode()
        answer = await asked(Ask("image", "POST", "/v2/images", token, body=body))
        images[name] = json.loads(answer.body)["id"]
        if name in IMAGES[:2]:
            path = f"/v2/images/{images[name]}/file"
            await asked(Ask("image", "PUT", path, token, (OCTETS,), b"image " * 1000))
    return Side({**common, **images})


@pytest.mark.parametrize("form", ["hosts", "prefix"])
async def test_every_difference_is_meant(cloud: Cloud, front: Front, form: str) -> None:
    common = await tokens(cloud)
    sides = [await prepared(cloud, common) for _ in range(2)]
    way = front.hosts if form == "hosts" else front.prefix
    direct_at = {name: urlsplit(url).netloc for name, url in cloud.endpoints._asdict().items()}
    through_at = {name: urlsplit(url).netloc for name, url in way.endpoints._asdict().items()}
    labels = {side.known[name].encode(): b"<%s>" % name.encode() for side in sides for name in IMAGES}

    async def asked(places: Mapping[str, str], ask: Ask, side: Side) -> Answer:
        answer = await asyncio.to_thread(send, places[ask.service], through_at[ask.service], ask, side)
        body = answer.body
        for id, label in labels.items():
            body = body.replace(id, label)
        return answer._replace(body=body)

    pairs: list[Pair] = []
    for ask in REQUESTS:
        if form == "prefix":
            ask = ask._replace(path=f"/{ask.service}{ask.path}")
        direct = await asked(direct_at, ask, sides[0])
        through = await asked(through_at, ask, sides[1])
        pairs.append(Pair(ask, direct, through))

    unmeant, seen = [], set()
    for pair in pairs:
        for difference in differences(pair.direct, pair.through):
            kind = kind_of(pair, difference)
            seen.add(kind)
            if kind is None:
                unmeant.append(f"{pair.ask}: {difference}")
    assert not unmeant, "\n".join(unmeant)
    assert seen == {kind.name for kind in KINDS}, "a kind that no request shows is said in vain"
    assert len(pairs) >= 100


async def test_a_difference_that_nobody_meant_is_of_no_kind() -> None:
    ask = Ask("image", "GET", "/v2/images/{image}")
    direct = Answer(200, {"etag": ("x",), "vary": ("Accept", "X-Auth-Token")}, b'{"id": 1}')
    fault = b'{"itemNotFound": {"code": 404, "message": "Gone."}}'
    for through in (
        direct._replace(status=404, body=fault),
        direct._replace(status=503),
        direct._replace(body=b'{"id": 2}'),
        direct._replace(fields={"vary": direct.fields["vary"]}),
        direct._replace(fields={**direct.fields, "vary": ("X-Auth-Token", "Accept")}),
        direct._replace(fields={**direct.fields, "server": ("weir",)}),
    ):
        pair = Pair(ask, direct, through)
        found = list(differences(direct, through))
        assert found
        assert {kind_of(pair, difference) for difference in found} == {None}
    told = direct._replace(fields={**direct.fields, "date": ("today",)}, body=b'"2026-11-29T13:54:00Z"')
    later = told._replace(fields={**told.fields, "date": ("tomorrow",)}, body=b'"2026-11-30T13:54:00Z"')
    assert list(differences(told, later)) == []
