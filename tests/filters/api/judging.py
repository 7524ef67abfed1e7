"""The filter `api` with a description of a few words."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from filters.api import Api
from gateway.api import Body, Fault, Principal, Verdict
from gateway.api.testing import FrozenServices, build, exchange, judge

JSON = {"Content-Type": "application/json"}


def described(
    paths: Mapping[str, Any], *, options: Mapping[str, Any] | None = None, version: str = "3.1.0", **more: Any
) -> Api:
    """The filter with an OpenAPI description of these paths."""
    text = yaml.safe_dump({"openapi": version, "paths": dict(paths), **more})
    return written(text, "api.yaml", options)


def written(
    text: str, name: str, options: Mapping[str, Any] | None = None, services: FrozenServices | None = None
) -> Api:
    """The filter with this text as its description."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / name).write_text(text)
        made = services or FrozenServices()
        made._directory = Path(directory)
        return build(Api, {"description": name, **(options or {})}, made)


def verdict(
    api: Api,
    method: str,
    target: str,
    body: bytes | Body = b"",
    headers: Mapping[str, str] | None = None,
    principal: Principal | None = None,
) -> Verdict:
    return judge(api, exchange(method, target, body=body, headers=headers or {}, principal=principal))


def refused(
    api: Api,
    method: str,
    target: str,
    body: bytes | Body = b"",
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> tuple[int, str]:
    """Status and reason of a refusal; (0, "") of none."""
    found = verdict(api, method, target, body, headers, **more)
    if found is None:
        return 0, ""
    assert isinstance(found, Fault)
    return found.status, found.reason


def of_path(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema or {"type": "string"}}


def of_query(name: str, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema or {"type": "string"}}


def body(schema: Any, kind: str = "application/json", *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {kind: {"schema": schema}}}
