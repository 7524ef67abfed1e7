"""What every answer of the gateway must hold, and the whole course of a refusal."""

import re
from email.utils import parsedate_to_datetime

from tests.support.client import Client
from tests.support.gateway import PSEUDONYM, Running
from tests.support.message import Answer

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


def marked(answer: Answer) -> str:
    """Checks what every answer carries (Via last, both ids, one Date) and gives the request id."""
    assert answer.all("via")[-1].split(",")[-1].strip() in (f"1.1 {PSEUDONYM}", f"1.0 {PSEUDONYM}")
    date = answer.get("date")
    assert date is not None and _DATE.fullmatch(date), date
    parsedate_to_datetime(date)  # raises for a day that does not exist
    compute, openstack = answer.get("x-compute-request-id"), answer.get("x-openstack-request-id")
    assert compute is not None and REQUEST_ID.fullmatch(compute), compute
    assert openstack is not None and REQUEST_ID.fullmatch(openstack), openstack
    return compute


async def refused(gateway: Running, client: Client, status: int, reason: str, method: str = "GET") -> Answer:
    """The only answer of a gateway is a refusal for `reason`, and the connection ends with it."""
    answer = await client.answer(method)
    assert answer.status == status, (answer.status, answer.body)
    assert answer.closes, answer.head.lines
    await client.ended()
    record = await gateway.record()
    assert record["gateway.reason"] == reason
    assert record["gateway.decision"] == "refuse"
    assert record["http.response.status_code"] == status
    assert record["gateway.request_id"] == marked(answer)
    assert "gateway.upstream.attempts" not in record
    return answer
