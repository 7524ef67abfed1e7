"""The gateway with the description in force and the bundled metadata API behind it, asked what Schemathesis makes of the
description: requests that fit it, and requests that do not.

A short run is a part of the tests; WEIR_SCHEMATHESIS=full makes a long one.
"""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from openapi_core import OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest
from openapi_core.exceptions import OpenAPIError
from schemathesis import GenerationMode

from gateway.demo.metadata_api import serve
from gateway.demo.sample import MEMBER_TOKEN, SAMPLE_IMAGE, SAMPLE_PROJECT
from tests.contract.description import DIRECTORY, OPENAPI, WADL
from tests.support.gateway import Running, configuration, running

FULL: Final = os.environ.get("WEIR_SCHEMATHESIS") == "full"
EXAMPLES: Final = 300 if FULL else 10
"""Requests of each kind to each operation."""
OPERATIONS: Final = 6

pytestmark = pytest.mark.timeout(1800 if FULL else 120)

DOCUMENT: Final[dict[str, Any]] = yaml.safe_load((DIRECTORY / OPENAPI).read_text())
KNOWN: Final = {"project_id": SAMPLE_PROJECT, "image_id": SAMPLE_IMAGE}


class Sent(NamedTuple):
    """A request as it was sent, whether it was made to fit, and its answer."""

    fits: bool
    request: requests.PreparedRequest
    status: int


def ask_all(base: str) -> list[Sent]:
    """Asks all that is made of the description, one request after the other."""
    sent: list[Sent] = []
    session = requests.Session()
    schema = schemathesis.openapi.from_dict({**DOCUMENT, "servers": [{"url": f"{base}/v2"}]})
    found: Any = schema.get_all_operations()
    for result in found:
        operation = result.ok()
        for mode in GenerationMode:
            # Of requests that fit, half are about an image that there is: others are all answered 404.
            for known in (KNOWN, None) if mode is GenerationMode.POSITIVE else (None,):
                _asking(operation, mode, known, session, base, sent.append)()
    return sent


def _asking(
    operation: Any,
    mode: GenerationMode,
    known: dict[str, str] | None,
    session: requests.Session,
    base: str,
    keep: Callable[[Sent], None],
) -> Callable[[], None]:
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        database=None,
        derandomize=not FULL,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        if known is not None:
            case.path_parameters.update(known)
        answer = case.call(base_url=f"{base}/v2", session=session, headers={"X-Auth-Token": MEMBER_TOKEN})
        keep(Sent(mode is GenerationMode.POSITIVE, answer.request, answer.status_code))

    return ask  # type: ignore[no-any-return] # what hypothesis has made of it


async def asked(description: str, upstream: str) -> tuple[list[Sent], list[Any]]:
    """All requests, and the record of each."""
    text = configuration(
        upstream,
        filters=[
            {
                "token_auth": {
                    "providers": [
                        {
                            "static": {
                                "tokens": [
                                    {
                                        "token": MEMBER_TOKEN,
                                        "user": "member",
                                        "user_id": "u",
                                        "project_id": SAMPLE_PROJECT,
                                        "roles": ["member"],
                                    }
                                ]
                            }
                        }
                    ]
                }
            },
            {"api": {"description": description, "undeclared_query": "refuse"}},
        ],
    )
    async with running(text, directory=DIRECTORY) as gateway:
        sent = await asyncio.to_thread(ask_all, _url(gateway))
        return sent, list(await gateway.records(len(sent)))


def _url(gateway: Running) -> str:
    return f"http://127.0.0.1:{gateway.address.port}"


@pytest.mark.parametrize("description", [OPENAPI, WADL])
async def test_nothing_fails_and_nothing_is_accepted_that_the_description_refuses(
    tmp_path: Path, seeded: bytes, description: str
) -> None:
    images = tmp_path / "images.sqlite"
    images.write_bytes(seeded)
    service = await serve(images)
    try:
        sent, records = await asked(description, service.url)
    finally:
        await service.close()
    assert len(sent) >= OPERATIONS * EXAMPLES
    passed = refused = 0
    for one, record in zip(sent, records, strict=True):
        told = (
            one.request.method,
            one.request.path_url,
            one.request.body,
            one.status,
            record["gateway.reason"],
        )
        assert one.status < 500, told
        by_gateway = record["gateway.reason"] != "passed"
        if by_gateway:
            assert "gateway.upstream.attempts" not in record, told
            refused += 1
        else:
            assert _fits(one.request), told
            passed += 1
        if one.fits:
            assert not by_gateway, told
    assert min(passed, refused) > EXAMPLES


def _fits(request: requests.PreparedRequest) -> bool:
    """What openapi-core says of it, which has no part in the gateway. Of paths it judges the escapes, not what they stand for: so
    the one parameter that may have some is judged here."""
    path, mark, query = str(request.path_url).partition("?")
    *before, last = path.split("/")
    if before[-1] == "metadata":
        if re.fullmatch("[a-zA-Z0-9_:. -]{1,255}", unquote(last)) is None:
            return False
        last = "key"
    base = str(request.url).split("/v2/")[0]
    plain = request.copy()
    plain.url = base + "/".join([*before, last]) + mark + query
    document = {**DOCUMENT, "servers": [{"url": f"{base}/v2"}]}
    try:
        OpenAPI.from_dict(document).validate_request(RequestsOpenAPIRequest(plain))
    except OpenAPIError:
        return False
    return True
