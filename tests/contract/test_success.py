"""200, 203 and 204: the six operations of the image-metadata API, through the gateway and back."""

import json

import pytest

from gateway.demo.sample import PUBLIC_IMAGE, READER_TOKEN, SAMPLE_METADATA, SAMPLE_PROJECT
from tests.contract.answer import XMLNS, passed_on
from tests.contract.deployment import LABEL, METADATA, NOW_DATE, Deploy, Deployment, request
from tests.support.upstream import Upstream, answers

WHOLE_XML = f"""<?xml version='1.0' encoding='UTF-8'?>
<metadata {XMLNS}>
  <meta key="com.rackspace__1__options">0</meta>
  <meta key="base_image_ref">ffa476b1-9b14-46bd-99a8-862d1d94eb7a</meta>
  <meta key="os_distro">ubuntu</meta>
  <meta key="label">Original</meta>
  <meta key="auto_disk_config">True</meta>
  <meta key="os_type">linux</meta>
</metadata>
"""


async def test_lists_the_metadata(site: Deployment) -> None:
    answer = await site.ask("GET")
    passed_on(
        answer,
        200,
        '{"metadata": {"com.rackspace__1__options": "0", '
        '"base_image_ref": "ffa476b1-9b14-46bd-99a8-862d1d94eb7a", "os_distro": "ubuntu", '
        '"label": "Original", "auto_disk_config": "True", "os_type": "linux"}}',
    )
    record = await site.decided(answer, "passed")
    assert record["gateway.decision"] == "forward"
    assert record["gateway.route"] == "image-metadata"
    assert record["http.route"] == "/v2/{project_id}/images/{image_id}/metadata"
    assert [(step["name"], step["verdict"]) for step in record["gateway.filters"]] == [
        (name, "pass")
        for name in ("token_auth", "rate_limit", "methods", "uuid", "body_size", "content_type")
    ]


@pytest.mark.parametrize("accept", ["application/xml", "application/vnd.openstack.compute+xml"])
async def test_lists_the_metadata_in_xml(site: Deployment, accept: str) -> None:
    passed_on(
        await site.ask("GET", METADATA, None, f"Accept: {accept}"),
        200,
        WHOLE_XML,
        content_type="application/xml",
    )


async def test_a_post_adds_and_overwrites_and_answers_the_whole_set(site: Deployment) -> None:
    """The page's own request. Keys keep their case: to lower it is an upstream's habit, not the gateway's."""
    update = {"Category": "Webserver Retail Outlet project", "Owner": "John, Doe", "label": "Updated"}
    answer = await site.write({"metadata": update | {"os_distro": "žluťoučký"}})
    whole = SAMPLE_METADATA | update | {"os_distro": "žluťoučký"}
    passed_on(answer, 200, json.dumps({"metadata": whole}))
    passed_on(await site.ask("GET"), 200, json.dumps({"metadata": whole}))


async def test_an_empty_post_changes_nothing(site: Deployment) -> None:
    passed_on(await site.write({"metadata": {}}), 200, json.dumps({"metadata": SAMPLE_METADATA}))


async def test_a_put_replaces_the_whole_set(site: Deployment) -> None:
    passed_on(await site.write({"metadata": {"Label": "New"}}, "PUT"), 200, '{"metadata": {"Label": "New"}}')
    passed_on(await site.ask("GET"), 200, '{"metadata": {"Label": "New"}}')


async def test_shows_one_item(site: Deployment) -> None:
    answer = await site.ask("GET", LABEL)
    passed_on(answer, 200, '{"meta": {"label": "Original"}}')
    assert (await site.record(answer))["gateway.route"] == "image-metadata-item"


async def test_shows_one_item_in_xml(site: Deployment) -> None:
    passed_on(
        await site.ask("GET", LABEL, None, "Accept: application/xml"),
        200,
        f"<?xml version='1.0' encoding='UTF-8'?>\n<meta {XMLNS} key=\"label\">Original</meta>\n",
        content_type="application/xml",
    )


async def test_sets_one_item(site: Deployment) -> None:
    body = {"meta": {"label": "Replaced"}}
    passed_on(await site.write(body, "PUT", LABEL), 200, '{"meta": {"label": "Replaced"}}')
    passed_on(await site.ask("GET", LABEL), 200, '{"meta": {"label": "Replaced"}}')


async def test_a_key_keeps_its_escapes_on_the_way(site: Deployment) -> None:
    """CONTRACT: `a%20b` is a key like any other; it is decoded by whoever serves it, once."""
    target = f"{METADATA}/a%20b%3Ac"
    passed_on(await site.write({"meta": {"a b:c": "1"}}, "PUT", target), 200, '{"meta": {"a b:c": "1"}}')
    passed_on(await site.ask("GET", target), 200, '{"meta": {"a b:c": "1"}}')


async def test_deletes_one_item_and_answers_204_with_no_body(site: Deployment) -> None:
    answer = await site.ask("DELETE", LABEL)
    # A 204 has neither Content-Length nor Transfer-Encoding: no field is left but those of every answer.
    passed_on(answer, 204, None)
    assert (await site.decided(answer, "passed"))["http.response.body.size"] == 0
    rest = {key: value for key, value in SAMPLE_METADATA.items() if key != "label"}
    passed_on(await site.ask("GET"), 200, json.dumps({"metadata": rest}))


async def test_the_connection_is_kept_after_a_204(site: Deployment) -> None:
    client = await site.connect()
    for data, status in ((request("DELETE", LABEL), 204), (request("GET"), 200)):
        site.counted(data)
        assert (await client.ask(data)).status == status


async def test_reads_an_image_that_another_project_has_made_public(site: Deployment) -> None:
    answer = await site.ask("GET", f"/v2/{SAMPLE_PROJECT}/images/{PUBLIC_IMAGE}/metadata", token=READER_TOKEN)
    passed_on(answer, 200, '{"metadata": {"os_distro": "debian"}}')


CACHED = (
    b"HTTP/1.1 203 Cached\r\n"
    b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    b"last-modified: Sun, 06 Nov 1994 08:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"Via: 1.0 cache\r\n"
    b"X-Compute-Request-Id: req-0a2d8b11-51cb-4b8e-9ab9-4ed4ee0a9aa6\r\n"
    b"X-Cache: HIT, HIT\r\n"
    b"X-Cache: MISS\r\n"
    b"Content-Length: 30\r\n"
    b"\r\n"
    b'{"meta":   {"label" : "Old" }}'
)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_203_of_the_upstream_passes_unchanged(deploy: Deploy, method: str) -> None:
    """The gateway makes no 203, whatever the page says of POST; it passes one on, byte for byte."""
    async with Upstream(answers(CACHED)) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.ask(method, METADATA, b"{}" if method == "POST" else None)
        assert (answer.status, answer.phrase) == (203, "Cached")
        assert answer.body == b'{"meta":   {"label" : "Old" }}'
        ours = answer.all("Via").pop()
        assert answer.head.lines == [
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT"),
            ("Content-Type", "application/json"),
            ("Via", "1.0 cache"),
            ("X-Compute-Request-Id", "req-0a2d8b11-51cb-4b8e-9ab9-4ed4ee0a9aa6"),
            ("X-Cache", "HIT, HIT"),
            ("X-Cache", "MISS"),
            ("Content-Length", "30"),
            ("Via", ours),
            ("X-Openstack-Request-Id", "req-0a2d8b11-51cb-4b8e-9ab9-4ed4ee0a9aa6"),
        ]
        assert ours.startswith("1.1 weir-")
        await site.decided(answer, "passed")


DOUBLED = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Fri, 13 Mar 2015 06:49:56 GMT\r\n"
    b"X-Openstack-Request-Id: req-6b2e12e2-4f3a-4c1c-8b7a-3d2f0a9c1e55\r\n"
    b"Date: Fri, 13 Mar 2015 06:49:57 GMT\r\n"
    b"Server: Jetty(9.2.z-SNAPSHOT)\r\n"
    b"X-Openstack-Request-Id: req-00000000-4f3a-4c1c-8b7a-3d2f0a9c1e55\r\n"
    b"Content-Length: 2\r\n"
    b"\r\n{}"
)


async def test_a_doubled_date_and_a_doubled_id_of_the_upstream_become_one(deploy: Deploy) -> None:
    """The page shows two dates in one answer: the field is a singleton (RFC 9110 section 6.6.1)."""
    async with Upstream(answers(DOUBLED)) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.ask("GET")
        assert answer.all("Date") == ["Fri, 13 Mar 2015 06:49:56 GMT"]
        for name in ("X-Openstack-Request-Id", "X-Compute-Request-Id"):
            assert answer.all(name) == ["req-6b2e12e2-4f3a-4c1c-8b7a-3d2f0a9c1e55"]
        assert answer.all("Server") == ["Jetty(9.2.z-SNAPSHOT)"]
        await site.decided(answer, "passed")


async def test_an_upstream_without_date_and_ids_gets_the_gateways(deploy: Deploy) -> None:
    bare = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with Upstream(answers(bare)) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.ask("GET")
        assert answer.all("Date") == [NOW_DATE]
        own = (await site.record(answer))["gateway.request_id"]
        for name in ("X-Openstack-Request-Id", "X-Compute-Request-Id"):
            assert answer.all(name) == [own]
        assert answer.all("Server") == []
