import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.demo import metadata_api
from gateway.demo.metadata_api import (
    BODY_MAX,
    BROKEN_IMAGE,
    FOREIGN_IMAGE,
    OFFLINE_IMAGE,
    OTHER_PROJECT,
    PUBLIC_IMAGE,
    SAMPLE_IMAGE,
    SAMPLE_METADATA,
    SAMPLE_PROJECT,
    SAVING_IMAGE,
    UNKNOWN_IMAGE,
    build_app,
    seed,
    serve,
)
from gateway.demo.store import Caller, Store

NAMESPACE = "http://docs.openstack.org/compute/api/v1.1"
REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ALWAYS = {"Date", "Server", "X-Compute-Request-Id", "X-Openstack-Request-Id"}
WITH_BODY = ALWAYS | {"Content-Type", "Content-Length", "Vary"}

MEMBER = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "u1",
    "X-Project-Id": SAMPLE_PROJECT,
    "X-Roles": "member,reader",
}
READER = MEMBER | {"X-Roles": "reader"}
OTHER_ADMIN = MEMBER | {"X-Project-Id": OTHER_PROJECT, "X-Roles": "admin"}

COLLECTION = f"/v2/{SAMPLE_PROJECT}/images/{SAMPLE_IMAGE}/metadata"


@dataclass
class Reply:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """The service and a client; every answer is held against what is common to all."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.session = session

    async def call(
        self,
        method: str,
        target: str = COLLECTION,
        body: Any = None,
        *,
        headers: dict[str, str] = MEMBER,
        data: Any = None,
        more: frozenset[str] | set[str] = frozenset(),
        **extra: str,
    ) -> Reply:
        fields = headers | {name.replace("_", "-"): value for name, value in extra.items()}
        if body is not None:
            data = json.dumps(body).encode()
            fields = {"Content-Type": "application/json"} | fields
        async with self.session.request(
            method, URL(self.base + target, encoded=True), data=data, headers=fields
        ) as response:
            content = await response.read()
            reply = Reply(response.status, response.headers, content)
        names = [name.title() for name in reply.headers]
        assert len(names) == len(set(names)), "a field is repeated"
        expected = ALWAYS if reply.status == 204 else WITH_BODY
        assert set(names) == {name.title() for name in expected | set(more)}
        request_id = reply.headers["X-Compute-Request-Id"]
        assert REQUEST_ID.fullmatch(request_id)
        assert reply.headers["X-Openstack-Request-Id"] == request_id
        assert reply.headers["Server"] == "image-metadata"
        return reply


class Start(Protocol):
    async def __call__(self, *, quota: int = ..., over_quota_status: int = ...) -> Api: ...


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "images.sqlite"
    seed(path)
    return path


@pytest.fixture
async def start(database: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(*, quota: int = 128, over_quota_status: int = 413) -> Api:
            service = await serve(database, "127.0.0.1", 0, quota=quota, over_quota_status=over_quota_status)
            stack.push_async_callback(service.close)
            session = aiohttp.ClientSession(skip_auto_headers=["Content-Type", "Accept", "User-Agent"])
            await stack.enter_async_context(session)
            return Api(f"http://127.0.0.1:{service.port}", session)

        yield started


@pytest.fixture
async def api(start: Start) -> Api:
    return await start()


def expect_fault(reply: Reply, status: int, name: str, message: str, **members: str) -> None:
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert reply.headers["Vary"] == "Accept"
    fault = {name: {"code": status, "message": message} | members}
    assert reply.body == json.dumps(fault).encode()


# The six operations


async def test_o1_lists_the_whole_set(api: Api) -> None:
    reply = await api.call("GET")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Vary"] == "Accept"
    assert reply.body == json.dumps({"metadata": SAMPLE_METADATA}).encode()
    assert reply.headers["Content-Length"] == str(len(reply.body))


async def test_o2_merges_and_answers_the_whole_resulting_set(api: Api) -> None:
    reply = await api.call("POST", body={"metadata": {"label": "žluť", "Label": "new"}})
    merged = SAMPLE_METADATA | {"label": "žluť", "Label": "new"}
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.body == json.dumps({"metadata": merged}).encode()
    assert b"\\u017elu\\u0165" in reply.body
    assert (await api.call("GET")).json == {"metadata": merged}


async def test_o2_with_no_items_changes_nothing(api: Api) -> None:
    reply = await api.call("POST", body={"metadata": {}})
    assert (reply.status, reply.json) == (200, {"metadata": SAMPLE_METADATA})


async def test_o2_the_last_of_duplicate_keys_wins(api: Api) -> None:
    reply = await api.call(
        "POST", data=b'{"metadata": {"dup": "1", "dup": "2"}}', Content_Type="application/json"
    )
    assert (reply.status, reply.json) == (200, {"metadata": SAMPLE_METADATA | {"dup": "2"}})


async def test_o3_replaces_all_and_echoes(api: Api) -> None:
    reply = await api.call("PUT", body={"metadata": {"only": "this"}})
    assert (reply.status, reply.body) == (200, b'{"metadata": {"only": "this"}}')
    assert (await api.call("GET")).body == b'{"metadata": {"only": "this"}}'
    assert (await api.call("PUT", body={"metadata": {}})).body == b'{"metadata": {}}'
    assert (await api.call("GET")).body == b'{"metadata": {}}'


async def test_o4_shows_one_item(api: Api) -> None:
    reply = await api.call("GET", f"{COLLECTION}/label")
    assert (reply.status, reply.body) == (200, b'{"meta": {"label": "Original"}}')
    assert reply.headers["Content-Type"] == "application/json"


async def test_o5_sets_one_item_and_echoes(api: Api) -> None:
    for key, value in [("label", "Replaced"), ("added", "")]:
        reply = await api.call("PUT", f"{COLLECTION}/{key}", {"meta": {key: value}})
        assert (reply.status, reply.json) == (200, {"meta": {key: value}})
    expected = SAMPLE_METADATA | {"label": "Replaced", "added": ""}
    assert (await api.call("GET")).json == {"metadata": expected}


async def test_o6_deletes_one_item_with_a_bare_204(api: Api) -> None:
    reply = await api.call("DELETE", f"{COLLECTION}/label")
    assert (reply.status, reply.body) == (204, b"")
    expect_fault(await api.call("DELETE", f"{COLLECTION}/label"), 404, "itemNotFound", "Invalid metadata key")
    expect_fault(await api.call("GET", f"{COLLECTION}/label"), 404, "itemNotFound", "Invalid metadata key")


async def test_a_key_in_the_uri_is_decoded_once(api: Api) -> None:
    reply = await api.call("PUT", f"{COLLECTION}/a%20b%3Ac", {"meta": {"a b:c": "v"}})
    assert (reply.status, reply.body) == (200, b'{"meta": {"a b:c": "v"}}')
    assert (await api.call("GET", f"{COLLECTION}/a%20b:c")).body == b'{"meta": {"a b:c": "v"}}'
    assert (await api.call("GET", f"{COLLECTION}/a%2520b:c")).status == 404


async def test_undeclared_query_parameters_are_ignored(api: Api) -> None:
    assert (await api.call("GET", f"{COLLECTION}?x=1")).json == {"metadata": SAMPLE_METADATA}


# XML


async def test_answers_in_xml_when_accept_asks(api: Api) -> None:
    reply = await api.call("PUT", body={"metadata": {"a": "<1>", "b": ""}}, Accept="application/xml")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/xml"
    assert reply.headers["Vary"] == "Accept"
    assert (
        reply.body
        == (
            f"<?xml version='1.0' encoding='UTF-8'?>\n"
            f'<metadata xmlns="{NAMESPACE}">\n  <meta key="a">&lt;1&gt;</meta>\n  <meta key="b"></meta>\n</metadata>\n'
        ).encode()
    )
    reply = await api.call("GET", f"{COLLECTION}/a", Accept="application/vnd.openstack.compute+xml")
    assert (
        reply.body
        == (
            f"<?xml version='1.0' encoding='UTF-8'?>\n<meta xmlns=\"{NAMESPACE}\" key=\"a\">&lt;1&gt;</meta>\n"
        ).encode()
    )


async def test_faults_in_xml_when_accept_asks(start: Start) -> None:
    api = await start(quota=6)
    reply = await api.call("GET", f"{COLLECTION}/absent", Accept="application/xml")
    assert reply.status == 404
    assert reply.headers["Content-Type"] == "application/xml; charset=UTF-8"
    assert (
        reply.body
        == (
            f'<itemNotFound code="404" xmlns="{NAMESPACE}"><message>Invalid metadata key</message></itemNotFound>'
        ).encode()
    )
    reply = await api.call(
        "POST", body={"metadata": {"x": ""}}, Accept="application/xml", more={"Retry-After"}
    )
    assert (
        reply.body
        == (
            f'<overLimit code="413" xmlns="{NAMESPACE}"><message>Image metadata limit exceeded</message>'
            "<retryAfter>0</retryAfter></overLimit>"
        ).encode()
    )


# 400


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Malformed request body"),
        (b"{", "Malformed request body"),
        (b"[" * 100_000, "Malformed request body"),
        (b"[1, 2]", "The request body is not an object"),
        (b'{"meta": {"a": "b"}}', "'metadata' is a required property"),
        (b'{"metadata": {}, "x": 1}', "Additional properties beside 'metadata' are not allowed"),
        (b'{"metadata": {"": "v"}}', "Image metadata key cannot be blank"),
        (b'{"metadata": {"a\\n": "v"}}', None),
        (b'{"metadata": {"a": 5}}', "Image metadata value of 'a' is not a string"),
        (b'{"metadata": {"a": "\\ud800"}}', "Image metadata value of 'a' is not Unicode"),
    ],
)
async def test_400_for_a_malformed_body_and_nothing_is_changed(
    api: Api, method: str, raw: bytes, message: str | None
) -> None:
    reply = await api.call(method, data=raw, Content_Type="application/json")
    assert reply.status == 400
    if message is not None:
        expect_fault(reply, 400, "badRequest", message)
    assert (await api.call("GET")).json == {"metadata": SAMPLE_METADATA}


async def test_400_without_any_body(api: Api) -> None:
    expect_fault(await api.call("POST"), 400, "badRequest", "Malformed request body")


@pytest.mark.parametrize(
    ("key", "body", "message"),
    [
        ("a", {"meta": {"b": "v"}}, "Request body and URI mismatch"),
        ("a", {"meta": {"a": "v", "b": "v"}}, "Request body contains too many items"),
        ("a", {"meta": {}}, "Request body and URI mismatch"),
        ("a", {"metadata": {"a": "v"}}, "'meta' is a required property"),
        ("a%0A", {"meta": {"a\n": "v"}}, None),
        ("a%2Fb", {"meta": {"a/b": "v"}}, None),
    ],
)
async def test_400_for_an_item_that_is_not_the_one_of_the_uri(
    api: Api, key: str, body: Any, message: str | None
) -> None:
    reply = await api.call("PUT", f"{COLLECTION}/{key}", body)
    assert reply.status == 400
    if message is not None:
        expect_fault(reply, 400, "badRequest", message)


@pytest.mark.parametrize("path_project", [OTHER_PROJECT, "x", "%00", "%ff", SAMPLE_PROJECT.upper()])
async def test_400_for_a_project_in_the_path_that_is_not_the_callers(api: Api, path_project: str) -> None:
    reply = await api.call("GET", f"/v2/{path_project}/images/{SAMPLE_IMAGE}/metadata")
    assert reply.status == 400
    assert reply.json["badRequest"]["message"].startswith("Malformed request URL: URL's project_id '")
    if path_project == OTHER_PROJECT:
        expect_fault(
            reply,
            400,
            "badRequest",
            f"Malformed request URL: URL's project_id '{OTHER_PROJECT}' "
            f"doesn't match Context's project_id '{SAMPLE_PROJECT}'",
        )


async def _raw(api: Api, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A POST of the member whose body is sent by hand, after the service began to wait for it."""
    host, port = api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    fields = MEMBER | {"Host": "x", "Transfer-Encoding": "chunked", "Expect": "100-continue"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"POST {COLLECTION} HTTP/1.1\r\n{head}\r\n".encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.writelines(parts)
    return reader, writer


async def test_a_client_that_leaves_within_its_body_changes_nothing_and_is_no_error(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gateway.demo")
    _, writer = await _raw(api, b'10\r\n{"metadata": {}}\r\n')
    writer.transport.abort()
    async with asyncio.timeout(5):
        while not any(message.endswith(" 400") for message in caplog.messages):
            await asyncio.sleep(0)
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert (await api.call("GET")).json == {"metadata": SAMPLE_METADATA}


@pytest.mark.parametrize("rest", [b"", b"zz\r\n"], ids=["stalled", "malformed chunk"])
async def test_408_for_a_body_that_does_not_arrive(
    api: Api, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(metadata_api, "BODY_TIMEOUT", 0.05)
    reader, writer = await _raw(api, b'10\r\n{"metadata": {}}\r\n', rest)
    answer = await reader.readuntil(b"}}")
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(
        b'{"computeFault": {"code": 408, "message": "The request body did not arrive in time."}}'
    )
    assert b"\r\nConnection: close\r\n" in answer


# 401, 403, 404, 409


@pytest.mark.parametrize("status", [None, "Invalid", "confirmed", "", "Indeterminate"])
@pytest.mark.parametrize(("method", "target"), [("GET", COLLECTION), ("PATCH", COLLECTION), ("GET", "/")])
async def test_401_without_a_confirmed_identity_whatever_is_asked(
    api: Api, status: str | None, method: str, target: str
) -> None:
    headers = {name: value for name, value in MEMBER.items() if name != "X-Identity-Status"}
    if status is not None:
        headers["X-Identity-Status"] = status
    reply = await api.call(method, target, headers=headers, more={"WWW-Authenticate"})
    expect_fault(reply, 401, "unauthorized", "The request you have made requires authentication.")
    assert reply.headers["WWW-Authenticate"] == 'Keystone realm="image-metadata"'


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "", {"metadata": {"label": "x"}}),
    ("PUT", "", {"metadata": {}}),
    ("PUT", "/label", {"meta": {"label": "x"}}),
    ("DELETE", "/label", None),
]


@pytest.mark.parametrize(("method", "suffix", "body"), WRITES)
@pytest.mark.parametrize("roles", ["reader", "", "READER, observer"])
async def test_403_for_a_write_without_a_role_that_writes(
    api: Api, method: str, suffix: str, body: Any, roles: str
) -> None:
    headers = MEMBER | {"X-Roles": roles}
    reply = await api.call(method, COLLECTION + suffix, body, headers=headers)
    expect_fault(reply, 403, "forbidden", f"Not authorized for image {SAMPLE_IMAGE}.")
    assert (await api.call("GET", headers=headers)).json == {"metadata": SAMPLE_METADATA}
    assert (await api.call("GET", COLLECTION + "/label", headers=headers)).status == 200


async def test_the_role_admin_writes_as_member_does(api: Api) -> None:
    reply = await api.call("POST", body={"metadata": {}}, headers=MEMBER | {"X-Roles": "reader, Admin"})
    assert reply.status == 200


@pytest.mark.parametrize(("method", "suffix", "body"), WRITES)
async def test_a_public_image_of_another_project_is_read_and_not_written(
    api: Api, method: str, suffix: str, body: Any
) -> None:
    target = f"/v2/{SAMPLE_PROJECT}/images/{PUBLIC_IMAGE}/metadata"
    reply = await api.call("GET", target)
    assert (reply.status, reply.body) == (200, b'{"metadata": {"os_distro": "debian"}}')
    reply = await api.call(method, target + suffix, body)
    expect_fault(reply, 403, "forbidden", f"Not authorized for image {PUBLIC_IMAGE}.")
    owner = f"/v2/{OTHER_PROJECT}/images/{PUBLIC_IMAGE}/metadata"
    assert (await api.call("POST", owner, {"metadata": {"a": "b"}}, headers=OTHER_ADMIN)).status == 200


@pytest.mark.parametrize(("method", "suffix", "body"), [*WRITES, ("GET", "", None), ("GET", "/label", None)])
@pytest.mark.parametrize(
    "image_id",
    [
        UNKNOWN_IMAGE,
        FOREIGN_IMAGE,
        SAMPLE_IMAGE.upper(),
        SAMPLE_IMAGE.replace("-", ""),
        f"{SAMPLE_IMAGE}%0A",
        "not-a-uuid",
        "%00",
        "%ff",
        "",
    ],
)
async def test_404_for_an_image_that_is_not_there_or_not_to_be_seen(
    api: Api, method: str, suffix: str, body: Any, image_id: str
) -> None:
    reply = await api.call(method, f"/v2/{SAMPLE_PROJECT}/images/{image_id}/metadata{suffix}", body)
    expect_fault(reply, 404, "itemNotFound", "Image not found.")


async def test_404_for_a_private_image_of_another_project_even_for_an_admin(api: Api) -> None:
    reply = await api.call("GET", f"/v2/{OTHER_PROJECT}/images/{SAMPLE_IMAGE}/metadata", headers=OTHER_ADMIN)
    expect_fault(reply, 404, "itemNotFound", "Image not found.")


@pytest.mark.parametrize(
    "key", ["absent", "Label", "a%2Fb", "label%0A", "%ff", "%00", "k" * 256, "..", "%2e%2e"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_404_for_a_key_that_is_not_there(api: Api, method: str, key: str) -> None:
    reply = await api.call(method, f"{COLLECTION}/{key}")
    expect_fault(reply, 404, "itemNotFound", "Invalid metadata key")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", COLLECTION),
        ("PATCH", COLLECTION),
        ("OPTIONS", COLLECTION),
        ("POST", f"{COLLECTION}/label"),
        ("PATCH", f"{COLLECTION}/label"),
        ("GET", f"{COLLECTION}/"),
        ("GET", f"{COLLECTION}/a/b"),
        ("GET", f"{COLLECTION}.json"),
        ("GET", f"/{COLLECTION}"),
        ("GET", COLLECTION.replace("/metadata", "//metadata")),
        ("GET", COLLECTION.replace("/metadata", "%2Fmetadata")),
        ("GET", COLLECTION.replace("/v2/", "/v3/")),
        ("GET", "/"),
        ("GET", "/x/../" + COLLECTION[1:]),
    ],
)
async def test_404_for_another_method_or_path(api: Api, method: str, target: str) -> None:
    expect_fault(await api.call(method, target), 404, "itemNotFound", "The resource could not be found.")


async def test_404_to_head_has_no_body(api: Api) -> None:
    reply = await api.call("HEAD")
    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize(("method", "suffix", "body"), WRITES)
async def test_409_for_a_write_to_an_image_that_is_being_saved(
    api: Api, method: str, suffix: str, body: Any
) -> None:
    target = f"/v2/{SAMPLE_PROJECT}/images/{SAVING_IMAGE}/metadata"
    reply = await api.call(method, target + suffix, body)
    expect_fault(
        reply,
        409,
        "conflictingRequest",
        f"Image {SAVING_IMAGE} is being saved: its metadata cannot be changed now.",
    )
    assert (await api.call("GET", target)).body == b'{"metadata": {"label": "Snapshot"}}'


# 413


async def test_413_over_the_quota_with_retry_after_0(start: Start) -> None:
    api = await start(quota=7)
    assert (await api.call("POST", body={"metadata": {"seventh": "x"}})).status == 200
    for method, suffix, body in [
        ("POST", "", {"metadata": {"eighth": "x"}}),
        ("PUT", "", {"metadata": {f"k{i}": "" for i in range(8)}}),
        ("PUT", "/eighth", {"meta": {"eighth": "x"}}),
    ]:
        reply = await api.call(method, COLLECTION + suffix, body, more={"Retry-After"})
        expect_fault(reply, 413, "overLimit", "Image metadata limit exceeded", retryAfter="0")
        assert reply.headers["Retry-After"] == "0"
    assert (await api.call("POST", body={"metadata": {"seventh": "y"}})).status == 200
    assert (await api.call("GET")).json == {"metadata": SAMPLE_METADATA | {"seventh": "y"}}


async def test_the_quota_is_128_by_default(api: Api) -> None:
    full = {f"k{i:03}": str(i) for i in range(128)}
    assert (await api.call("PUT", body={"metadata": full})).status == 200
    reply = await api.call("PUT", body={"metadata": full | {"one": "more"}}, more={"Retry-After"})
    assert reply.status == 413


async def test_403_over_the_quota_where_configured(start: Start) -> None:
    api = await start(quota=6, over_quota_status=403)
    reply = await api.call("POST", body={"metadata": {"x": ""}})
    expect_fault(reply, 403, "forbidden", "Image metadata limit exceeded")


def _body_of(size: int) -> bytes:
    body = b'{"metadata": {}}'
    return body + b" " * (size - len(body))


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize("framed", [lambda body: body, _chunks], ids=["content-length", "chunked"])
async def test_413_without_retry_after_for_one_byte_too_many(
    api: Api, framed: Callable[[bytes], Any]
) -> None:
    fits = await api.call("POST", data=framed(_body_of(BODY_MAX)), Content_Type="application/json")
    assert fits.status == 200
    reply = await api.call(
        "POST", data=framed(_body_of(BODY_MAX + 1)), Content_Type="application/json", more={"Connection"}
    )
    expect_fault(reply, 413, "overLimit", "Request is too large. At most 114688 bytes are accepted.")
    assert reply.headers["Connection"] == "close"


async def test_413_by_content_length_comes_before_401(api: Api) -> None:
    reply = await api.call("POST", data=_body_of(BODY_MAX + 1), headers={}, more={"Connection"})
    assert reply.status == 413


# 415


@pytest.mark.parametrize(
    "content_type",
    [
        "application/xml",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
        ";",
        "json",
    ],
)
@pytest.mark.parametrize(("method", "suffix"), [("POST", ""), ("PUT", ""), ("PUT", "/label")])
async def test_415_for_a_write_that_is_not_json(
    api: Api, content_type: str, method: str, suffix: str
) -> None:
    reply = await api.call(
        method, COLLECTION + suffix, data=b"<metadata/>", Content_Type=content_type, more={"Accept"}
    )
    expect_fault(reply, 415, "badMediaType", "Unsupported Content-Type")
    assert reply.headers["Accept"] == "application/json"


async def test_415_for_a_content_coding(api: Api) -> None:
    reply = await api.call(
        "POST",
        data=b"\x1f\x8b",
        Content_Type="application/json",
        Content_Encoding="GZip",
        more={"Accept-Encoding"},
    )
    expect_fault(reply, 415, "badMediaType", "Unsupported Content-Encoding")
    assert reply.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "Application/JSON", "application/vnd.openstack.compute+json", None],
)
async def test_takes_json_under_each_of_its_names_and_under_none(api: Api, content_type: str | None) -> None:
    headers = MEMBER if content_type is None else MEMBER | {"Content-Type": content_type}
    reply = await api.call("PUT", data=b'{"metadata": {"a": "b"}}', headers=headers)
    assert (reply.status, reply.body) == (200, b'{"metadata": {"a": "b"}}')


# 500, 503


@pytest.mark.parametrize(("method", "suffix", "body"), [*WRITES, ("GET", "", None), ("GET", "/label", None)])
async def test_500_on_a_broken_store_and_503_on_one_that_is_offline(
    api: Api, method: str, suffix: str, body: Any
) -> None:
    broken = f"/v2/{SAMPLE_PROJECT}/images/{BROKEN_IMAGE}/metadata{suffix}"
    expect_fault(
        await api.call(method, broken, body),
        500,
        "computeFault",
        "The server has either erred or is incapable of performing the requested operation.",
    )
    offline = f"/v2/{SAMPLE_PROJECT}/images/{OFFLINE_IMAGE}/metadata{suffix}"
    reply = await api.call(method, offline, body, more={"Retry-After"})
    expect_fault(reply, 503, "serviceUnavailable", "The image store is temporarily unavailable.")
    assert reply.headers["Retry-After"] == "30"


async def test_503_while_another_process_holds_the_database(api: Api, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        reply = await api.call("POST", body={"metadata": {}}, more={"Retry-After"})
        expect_fault(reply, 503, "serviceUnavailable", "The image store is busy.")
        assert reply.headers["Retry-After"] == "1"
        other.execute("ROLLBACK")
    assert (await api.call("POST", body={"metadata": {}})).status == 200


async def test_500_for_a_bug_is_logged_under_the_request_id_and_tells_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(self: Store, caller: Caller, image_id: str) -> dict[str, str]:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Store, "items", bug)
    reply = await api.call("GET")
    expect_fault(
        reply,
        500,
        "computeFault",
        "The server has either erred or is incapable of performing the requested operation.",
    )
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == [f"{reply.headers['X-Compute-Request-Id']} failed"]
    assert "ZeroDivisionError" in caplog.text


# Ids and the log


async def test_every_answer_has_another_id_and_echoes_none(api: Api) -> None:
    given = "req-11111111-2222-4333-8444-555555555555"
    seen = set()
    for _ in range(3):
        reply = await api.call("GET", X_Openstack_Request_Id=given, X_Compute_Request_Id=given)
        seen.add(reply.headers["X-Compute-Request-Id"])
    assert len(seen) == 3
    assert given not in seen


async def test_a_valid_global_id_is_in_the_log_and_no_other(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gateway.demo")
    given = "req-11111111-2222-4333-8444-555555555555"
    reply = await api.call("GET", X_Openstack_Request_Id=given)
    own = reply.headers["X-Compute-Request-Id"]
    assert caplog.messages == [f"{own} GET '{COLLECTION}' 200 global {given}"]
    caplog.clear()
    reply = await api.call("GET", X_Openstack_Request_Id=given + "x")
    own = reply.headers["X-Compute-Request-Id"]
    assert caplog.messages == [f"{own} GET '{COLLECTION}' 200"]


async def test_an_unknown_expectation_still_has_an_id(api: Api) -> None:
    async with api.session.get(api.base + COLLECTION, headers=MEMBER | {"Expect": "foo"}) as response:
        assert response.status == 417
        assert REQUEST_ID.fullmatch(response.headers["X-Compute-Request-Id"])


async def test_takes_a_target_in_absolute_form(api: Api) -> None:
    host, port = api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = "".join(f"{name}: {value}\r\n" for name, value in MEMBER.items())
    writer.write(
        f"GET {api.base}{COLLECTION}/label HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'\r\n\r\n{"meta": {"label": "Original"}}')


# Concurrency and life


async def test_concurrent_merges_lose_nothing(api: Api) -> None:
    replies = await asyncio.gather(
        *(api.call("POST", body={"metadata": {f"k{i}": str(i)}}) for i in range(60))
    )
    assert {reply.status for reply in replies} == {200}
    expected = SAMPLE_METADATA | {f"k{i}": str(i) for i in range(60)}
    assert (await api.call("GET")).json == {"metadata": expected}
    sizes = sorted(len(reply.json["metadata"]) for reply in replies)
    assert sizes == list(range(7, 67))  # each merge saw all that were before it


async def test_concurrent_writes_never_pass_the_quota(start: Start) -> None:
    api = await start(quota=10)

    async def post(key: str) -> int:
        async with api.session.post(
            api.base + COLLECTION, json={"metadata": {key: ""}}, headers=MEMBER
        ) as response:
            return response.status

    statuses = await asyncio.gather(*(post(f"k{i}") for i in range(20)))
    assert sorted(statuses) == [200] * 4 + [413] * 16
    assert len((await api.call("GET")).json["metadata"]) == 10


async def test_what_was_written_is_there_after_a_restart_and_another_seed(
    start: Start, database: Path
) -> None:
    first = await start()
    await first.call("PUT", body={"metadata": {"label": "mine"}})
    seed(database)
    second = await start()
    assert (await second.call("GET")).json == {"metadata": {"label": "mine"}}


async def test_makes_the_database_when_it_is_absent(tmp_path: Path) -> None:
    service = await serve(tmp_path / "new.sqlite")
    try:
        async with aiohttp.ClientSession() as session:
            reply = await Api(service.url, session).call("GET")
            expect_fault(reply, 404, "itemNotFound", "Image not found.")
    finally:
        await service.close()


async def test_close_frees_the_port_and_the_database(database: Path) -> None:
    service = await serve(database)
    await service.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", service.port)
    assert [path.name for path in database.parent.iterdir()] == [database.name]  # no log is left to replay


async def test_a_port_in_use_is_an_error_and_leaves_nothing_open(database: Path) -> None:
    service = await serve(database)
    try:
        with pytest.raises(OSError, match="in use"):
            await serve(database, "127.0.0.1", service.port)
    finally:
        await service.close()


async def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("this is no database, and it is longer than a header of one hundred bytes " * 2)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        await serve(path)


def test_over_quota_is_413_or_403() -> None:
    with pytest.raises(ValueError, match="413 or 403"):
        build_app("images.sqlite", over_quota_status=429)


def test_exports_what_it_names() -> None:
    assert all(hasattr(metadata_api, name) for name in metadata_api.__all__)
