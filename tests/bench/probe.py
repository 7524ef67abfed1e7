"""One request at a time, before any load: does the subject do what it is measured for?

A proxy that forwards without checking anything would win every comparison.
"""

import http.client
from typing import NamedTuple

from tests.bench.workload import IMAGE_ID, METADATA, Workload, path

_TIMEOUT = 10.0


class Probe(NamedTuple):
    """A request and the status that must answer it; `body`, where given, is the answer's."""

    what: str
    method: str
    path: str
    token: str
    status: int
    headers: dict[str, str]
    sent: bytes = b""
    body: bytes | None = None


def probes(workload: Workload, token: str, *, policy: bool) -> list[Probe]:
    """The workload's own request, and what a policy must refuse."""
    expected = None if workload.refused else workload.answer()
    own = Probe(
        "the workload's request",
        workload.method,
        workload.path,
        token,
        workload.status,
        workload.headers,
        workload.body,
        expected,
    )
    if not policy:
        return [own]
    head, _, signature = token.rpartition(".")
    # The first character: the last may differ in bits that stand for nothing.
    forged = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    metadata = path(METADATA)
    other = metadata.replace(IMAGE_ID, IMAGE_ID[:-1] + "g")
    return [
        own,
        Probe("a forged token", "GET", metadata, forged, 401, {}),
        Probe("a method that is not allowed", "DELETE", metadata, token, 405, {}),
        Probe("a path without a UUID", "GET", other, token, 400, {}),
    ]


def check(port: int, probe: Probe) -> str | None:
    """Sends it; what is wrong with the answer, or None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        headers = {**probe.headers, "X-Auth-Token": probe.token}
        connection.request(probe.method, probe.path, probe.sent or None, headers)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{probe.what}: {error!r}"
    finally:
        connection.close()
    if response.status != probe.status:
        return f"{probe.what} is answered {response.status}, not {probe.status}"
    if probe.body is not None and body != probe.body:
        return f"{probe.what} is answered with {len(body)} bytes that are not the upstream's"
    return None
