"""Requests of every kind that identity, image and compute get from clients, good ones and bad ones."""

import json
from typing import Any

from tests.openstack.difference import Ask

JSON = ("Content-Type", "application/json")
PATCH = ("Content-Type", "application/openstack-images-v2.1-json-patch")
CHUNKED = ("Transfer-Encoding", "chunked")
OCTETS = ("Content-Type", "application/octet-stream")

_METADATA = "/v2.1/images/{image}/metadata"
_LARGE = 200_000


def _compute(
    method: str,
    path: str = _METADATA,
    body: Any = None,
    *headers: tuple[str, str],
    token: str = "demo",
) -> Ask:
    return _ask("compute", method, path, body, headers, token)


def _image(method: str, path: str, body: Any = None, *headers: tuple[str, str], token: str = "demo") -> Ask:
    return _ask("image", method, path, body, headers, token)


def _identity(method: str, path: str, body: Any = None, *headers: tuple[str, str], token: str = "") -> Ask:
    return _ask("identity", method, path, body, headers, token)


def _ask(
    service: str, method: str, path: str, body: Any, headers: tuple[tuple[str, str], ...], token: str
) -> Ask:
    """`body` is sent as it is where it is bytes, else as JSON, whose type is then said unless `headers` do."""
    if body is None or isinstance(body, bytes):
        return Ask(service, method, path, token, headers, body)
    if all(name != "Content-Type" for name, _ in headers):
        headers = (JSON, *headers)
    return Ask(service, method, path, token, headers, json.dumps(body).encode())


def _set(**items: Any) -> dict[str, Any]:
    return {"metadata": items}


def _items(count: int) -> dict[str, Any]:
    return _set(**{f"k{number:03}": f"value {number}" for number in range(count)})


def _password(user: str, password: str, **scope: Any) -> dict[str, Any]:
    named = {"name": user, "password": password, "domain": {"id": "default"}}
    identity = {"methods": ["password"], "password": {"user": named}}
    return {"auth": {"identity": identity, **scope}}


_DEMO = {"scope": {"project": {"name": "demo", "domain": {"id": "default"}}}}

IDENTITY = (
    _identity("GET", "/"),
    _identity("GET", "/v3"),
    _identity("GET", "/v3/"),
    _identity("HEAD", "/v3"),
    _identity("OPTIONS", "/v3/auth/tokens"),
    _identity("POST", "/v3/auth/tokens", _password("demo", "demo-password", **_DEMO)),
    _identity("POST", "/v3/auth/tokens?nocatalog", _password("demo", "demo-password", **_DEMO)),
    _identity("POST", "/v3/auth/tokens", _password("demo", "demo-password", scope="unscoped")),
    _identity("POST", "/v3/auth/tokens", _password("demo", "wrong", **_DEMO)),
    _identity("POST", "/v3/auth/tokens", _password("nobody", "wrong", **_DEMO)),
    _identity("POST", "/v3/auth/tokens", _password("other", "other-password", **_DEMO)),
    _identity("POST", "/v3/auth/tokens", b"{not json", JSON),
    _identity("POST", "/v3/auth/tokens", {"auth": {}}),
    _identity("POST", "/v3/auth/tokens", b"x" * _LARGE, JSON),
    _identity("GET", "/v3/auth/tokens", None, ("X-Subject-Token", "{demo}"), token="demo"),
    _identity("HEAD", "/v3/auth/tokens", None, ("X-Subject-Token", "{demo}"), token="demo"),
    _identity("GET", "/v3/auth/tokens", None, ("X-Subject-Token", "garbage"), token="demo"),
    _identity("GET", "/v3/auth/tokens", None, ("X-Subject-Token", "{other}"), token="demo"),
    _identity("GET", "/v3/auth/tokens", None, ("X-Subject-Token", "{demo}")),
    _identity("GET", "/v3/auth/tokens", token="demo"),
    _identity("PUT", "/v3/auth/tokens", token="demo"),
    _identity("GET", "/v3/auth/catalog", token="demo"),
    _identity("GET", "/v3/auth/projects", token="demo"),
    _identity("GET", "/v3/projects", token="demo"),
    _identity("GET", "/v3/users", token="garbage"),
    _identity("GET", "/v3/nothing/here", token="demo"),
    _identity("DELETE", "/v3/auth/tokens", None, ("X-Subject-Token", "garbage"), token="demo"),
)

COMPUTE = (
    _compute("GET", "/", token=""),
    _compute("GET", "/v2.1", token=""),
    _compute("GET", "/v2.1/", token=""),
    _compute("GET", "/v2.1/"),
    _compute("HEAD", "/v2.1", token=""),
    _compute("OPTIONS", token=""),
    _compute("OPTIONS", _METADATA, None, ("Origin", "http://ui.example"), token=""),
    _compute("GET"),
    _compute("HEAD"),
    _compute("POST", _METADATA, _set(key1="v1")),
    _compute("POST", _METADATA, _set(letters="žluť")),
    _compute("POST", _METADATA, {"metadata": {"žluť": "x"}}),
    _compute("POST", _METADATA, _set()),
    _compute("GET", f"{_METADATA}/key1"),
    _compute("GET", f"{_METADATA}/nokey"),
    _compute("PUT", f"{_METADATA}/key1", {"meta": {"key1": "v2"}}),
    _compute("PUT", f"{_METADATA}/key1", {"meta": {"other": "x"}}),
    _compute("PUT", f"{_METADATA}/key1", {"meta": {"key1": "x", "key2": "x"}}),
    _compute("PUT", _METADATA, _set(only="this", gone="soon")),
    _compute("DELETE", f"{_METADATA}/gone"),
    _compute("DELETE", f"{_METADATA}/gone"),
    _compute("GET", "/v2.1/{project}/images/{image}/metadata"),
    _compute("GET", "/v2.1/00000000000000000000000000000000/images/{image}/metadata"),
    _compute("GET", token=""),
    _compute("POST", _METADATA, _set(a="b"), token=""),
    _compute("GET", token="garbage"),
    _compute("GET", token="revoked"),
    _compute("GET", token="unscoped"),
    _compute("GET", token="other"),
    _compute("GET", token="reader"),
    _compute("POST", _METADATA, _set(a="b"), token="reader"),
    _compute("GET", _METADATA, None, ("X-Identity-Status", "Confirmed"), ("X-Roles", "admin"), token=""),
    _compute("GET", _METADATA, None, ("X-Roles", "admin"), ("X-User-Id", "someone")),
    _compute("GET", _METADATA, None, ("X-Service-Token", "{service}")),
    _compute("GET", _METADATA, None, ("X-Service-Token", "garbage")),
    _compute("GET", "/v2.1/images/not-a-uuid/metadata"),
    _compute("POST", "/v2.1/images/not-a-uuid/metadata", _set(a="b")),
    _compute("GET", "/v2.1/images/{unknown}/metadata"),
    _compute("POST", "/v2.1/images/{unknown}/metadata", _set(a="b")),
    _compute("GET", "/v2.1/images/{public}/metadata"),
    _compute("POST", "/v2.1/images/{public}/metadata", _set(a="b")),
    _compute("PUT", "/v2.1/images/{public}/metadata", _set(a="b")),
    _compute("PATCH"),
    _compute("PATCH", token=""),
    _compute("DELETE"),
    _compute("POST", f"{_METADATA}/key1", {"meta": {"key1": "v"}}),
    _compute("BREW"),
    _compute("TRACE"),
    _compute("GET", "/v2.1/nothing/here"),
    _compute("GET", "/v2.1/nothing/here", token=""),
    _compute("GET", "/v9/images"),
    _compute("GET", "/v9/images", token=""),
    _compute("GET", "/"),
    _compute("POST", _METADATA, b"{not json", JSON),
    _compute("POST", _METADATA, b"", JSON),
    _compute("POST"),
    _compute("POST", _METADATA, [1, 2]),
    _compute("POST", _METADATA, b"null", JSON),
    _compute("POST", _METADATA, {}),
    _compute("POST", _METADATA, {"metadata": {}, "x": 1}),
    _compute("POST", _METADATA, {"metadata": "s"}),
    _compute("POST", _METADATA, _set(a=5)),
    _compute("POST", _METADATA, _set(a=None)),
    _compute("POST", _METADATA, _set(a={"b": "c"})),
    _compute("POST", _METADATA, b'{"metadata": {"dup": "1", "dup": "2"}}', JSON),
    _compute("POST", _METADATA, b"<metadata/>", ("Content-Type", "application/xml")),
    _compute("POST", _METADATA, b'{"metadata": {"a": "b"}}', ("Content-Type", "text/plain")),
    _compute("POST", _METADATA, b'{"metadata": {"a": "b"}}'),
    _compute("POST", _METADATA, _set(a="b"), ("Content-Type", "application/json; charset=utf-8")),
    _compute("GET", _METADATA, None, ("Accept", "application/xml")),
    _compute("GET", f"{_METADATA}.json"),
    _compute("POST", _METADATA, _set(**{"k" * 255: "v"})),
    _compute("POST", _METADATA, _set(**{"k" * 256: "v"})),
    _compute("POST", _METADATA, _set(**{"": "v"})),
    _compute("POST", _METADATA, _set(**{"a/b": "v"})),
    _compute("POST", _METADATA, _set(v="v" * 255)),
    _compute("POST", _METADATA, _set(v="v" * 256)),
    _compute("POST", _METADATA, _set(v="")),
    _compute("POST", _METADATA, _set(location="file:///etc/passwd")),
    _compute("POST", _METADATA, _set(status="active")),
    _compute("POST", _METADATA, _set(os_glance_x="y")),
    _compute("PUT", _METADATA, _items(128)),
    _compute("PUT", _METADATA, _items(129)),
    _compute("POST", _METADATA, _set(one="more")),
    _compute("PUT", f"{_METADATA}/more", {"meta": {"more": "x"}}),
    _compute("GET"),
    _compute("PUT", _METADATA, _set()),
    _compute("POST", _METADATA, b'{"metadata": {"a": "' + b"x" * _LARGE + b'"}}', JSON),
    _compute("GET", _METADATA, None, ("X-OpenStack-Nova-API-Version", "2.38")),
    _compute("GET", _METADATA, None, ("X-OpenStack-Nova-API-Version", "2.39")),
    _compute("GET", _METADATA, None, ("OpenStack-API-Version", "compute 2.38")),
    _compute("GET", _METADATA, None, ("OpenStack-API-Version", "compute 2.90")),
    _compute("GET", _METADATA, None, ("OpenStack-API-Version", "compute latest")),
    _compute("GET", _METADATA, None, ("X-OpenStack-Nova-API-Version", "9.9")),
    _compute("GET", _METADATA, None, ("X-OpenStack-Nova-API-Version", "abc")),
    _compute("GET", f"{_METADATA}/"),
    _compute("GET", "/v2.1//images/{image}/metadata"),
    _compute("GET", "/v2.1/images/../images/{image}/metadata"),
    _compute("GET", "/v2.1/images/%2e%2e/servers"),
    _compute("GET", "/v2.1/images/{image}%2Fmetadata"),
    _compute("GET", "/v2.1/images/%zz/metadata"),
    _compute("GET", f"{_METADATA}?x=1"),
    _compute("GET", "/v2.1/images?limit=1&name=%5Bx%5D"),
    _compute("GET", "/v2.1/images?name=%zz"),
    _compute("GET", "/v2.1/images/" + "x" * 9000),
    _compute("GET", _METADATA, None, ("X-Long", "x" * 20_000)),
    _compute("GET", _METADATA, None, ("X-OpenStack-Request-ID", "req-00000000-0000-4000-8000-000000000000")),
    _compute("GET", _METADATA, None, ("X-OpenStack-Request-ID", "mine")),
    _compute("GET", "/v2.1/images"),
    _compute("GET", "/v2.1/images/detail"),
    _compute("GET", "/v2.1/images/{image}"),
    _compute("GET", "/v2.1/limits"),
    _compute("GET", "/v2.1/servers"),
    _compute("GET", "/v2.1/servers/detail?all_tenants=1"),
    _compute("GET", "/v2.1/servers/{unknown}"),
    _compute("GET", "/v2.1/flavors"),
    _compute("GET", "/v2.1/extensions"),
    _compute("POST", "/v2.1/servers", {"server": {"name": "s"}}),
    _compute("GET", "/v2.1/os-keypairs"),
    _compute("DELETE", "/v2.1/os-keypairs/none"),
    _compute("GET", _METADATA, None, ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")),
    _compute("GET", "/v2.1/images/{image}", None, ("X-Forwarded-Host", "evil.example")),
)

IMAGE = (
    _image("GET", "/", token=""),
    _image("GET", "/versions", token=""),
    _image("OPTIONS", "/v2/images", token=""),
    _image("GET", "/v2/images"),
    _image("GET", "/v2/images?limit=1&sort=name:asc"),
    _image("GET", "/v2/images?limit=nonsense"),
    _image("GET", "/v2/images", token=""),
    _image("HEAD", "/v2/images", token=""),
    _image("GET", "/v2/images", token="garbage"),
    _image("GET", "/v2/images/{image}"),
    _image("HEAD", "/v2/images/{image}"),
    _image("GET", "/v2/images/{image}", token="other"),
    _image("GET", "/v2/images/{public}", token="other"),
    _image("GET", "/v2/images/{unknown}"),
    _image("GET", "/v2/images/{image}/file"),
    _image("GET", "/v2/images/{image}/file", None, ("Range", "bytes=100-199")),
    _image("GET", "/v2/images/{image}/file", None, ("Range", "bytes=999999999-")),
    _image("GET", "/v2/images/{image}/file", token="other"),
    _image("PUT", "/v2/images/{image}/file", b"again", OCTETS),
    _image("POST", "/v2/images", {"name": "new", "disk_format": "raw", "container_format": "bare"}),
    _image("POST", "/v2/images", {"disk_format": "nonsense"}),
    _image("POST", "/v2/images", b"{not json", JSON),
    _image("POST", "/v2/images", {"name": "new"}, token="reader"),
    _image("PUT", "/v2/images/{queued}/file", b"\0\1\2" * 300_000, OCTETS),
    _image("GET", "/v2/images/{queued}/file"),
    _image("PUT", "/v2/images/{streamed}/file", b"\0\1\2" * 300_000, OCTETS, CHUNKED),
    _image("GET", "/v2/images/{streamed}/file"),
    _image("PUT", "/v2/images/{expected}/file", b"\0\1\2" * 300_000, OCTETS, ("Expect", "100-continue")),
    _image("GET", "/v2/images/{expected}"),
    _image("PUT", "/v2/images/{image}/file", b"again", OCTETS, ("Expect", "100-continue"), token=""),
    _image("PATCH", "/v2/images/{image}", [{"op": "add", "path": "/kernel", "value": "6.1"}], PATCH),
    _image("PATCH", "/v2/images/{image}", [{"op": "add", "path": "/kernel", "value": "6.1"}]),
    _image("PATCH", "/v2/images/{image}", [{"op": "remove", "path": "/nothing"}], PATCH),
    _image("PUT", "/v2/images/{image}/tags/blue"),
    _image("DELETE", "/v2/images/{image}/tags/blue"),
    _image("GET", "/v2/images/{image}/members"),
    _image("GET", "/v2/schemas/image"),
    _image("GET", "/v2/info/stores"),
    _image("GET", "/v2/nothing/here"),
    _image("GET", "/v2"),
    _image("GET", "/v2/"),
    _image("GET", "/v2", token=""),
    _image("DELETE", "/v2/images", token="demo"),
    _image("DELETE", "/v2/images/{public}"),
    _image("DELETE", "/v2/images/{queued}"),
    _image("GET", "/v2/images/{queued}"),
    _image("GET", "/v1/images"),
)

REQUESTS = (*IDENTITY, *COMPUTE, *IMAGE)
