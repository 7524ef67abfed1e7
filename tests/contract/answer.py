"""What an answer must be, whole: every field once, no field more, the body to the letter."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from gateway import __version__
from tests.contract.deployment import NOW_DATE
from tests.support.expect import REQUEST_ID
from tests.support.message import Answer

XMLNS = 'xmlns="http://docs.openstack.org/compute/api/v1.1"'
JSON = "application/json; charset=UTF-8"
XML = "application/xml; charset=UTF-8"

_VIA = re.compile(rf"1\.1 weir-[0-9a-f]{{8}} \(Weir/{re.escape(__version__)}\)")


def made_here(
    answer: Answer,
    status: int,
    body: str,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = JSON,
    vary: bool = True,
    closes: bool = False,
    date: str = NOW_DATE,
    head: bool = False,
) -> None:
    """The gateway's own answer. `head`: of a HEAD, which has the length of a body and no body."""
    wanted = {"Content-Type": content_type, "Content-Length": str(len(body.encode())), **(headers or {})}
    if vary:
        wanted["Vary"] = "Accept"
    if closes:
        wanted["Connection"] = "close"
    fields = _checked(answer, status)
    assert fields.pop("Date") == date
    assert fields == wanted
    assert answer.body.decode() == ("" if head else body)


def passed_on(
    answer: Answer,
    status: int,
    body: str | None,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "application/json",
) -> None:
    """The metadata API's answer, of which nothing was changed but Via; no body where there is none to be."""
    wanted = {"Server": "image-metadata", **(headers or {})}
    if body is not None:
        wanted |= {"Content-Type": content_type, "Vary": "Accept", "Content-Length": str(len(body.encode()))}
    fields = _checked(answer, status)
    assert parsedate_to_datetime(fields.pop("Date")).tzinfo is UTC
    assert fields == wanted
    assert answer.body.decode() == (body or "")


def _checked(answer: Answer, status: int) -> dict[str, str]:
    """The fields but for those that every answer has, which are right: Via, and one id under two names."""
    assert answer.status == status, (answer.status, answer.body)
    fields = dict(answer.head.lines)
    assert len(fields) == len(answer.head.lines), answer.head.lines
    via = fields.pop("Via")
    assert _VIA.fullmatch(via), via
    compute, openstack = fields.pop("X-Compute-Request-Id"), fields.pop("X-Openstack-Request-Id")
    assert compute == openstack
    assert REQUEST_ID.fullmatch(compute), compute
    return fields
