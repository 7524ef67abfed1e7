"""Limits, timeouts, Via and TLS of the server."""

from pathlib import Path

import pytest

from gateway.migration.container import duration
from gateway.migration.repose import Migration, MigrationError
from tests.migration.installed import SYSTEM_MODEL, moved, notes, outcome, part

POOLS = (
    '<http-connection-pools><pool id="main" default="true" http.connection.timeout="1500" http.socket.timeout="400000"'
    ' http.conn-manager.max-total="400"/>\n<pool id="identity" http.socket.timeout="100" http.proxy="x"/></http-connection-pools>'
)


def _moved(
    directory: Path, attributes: str = "", body: str = "", chain: str = "", ports: str = "", **files: str
) -> Migration:
    text = f"<repose-container><deployment-config {attributes}>{body}</deployment-config></repose-container>"
    if ports:
        files["system-model"] = SYSTEM_MODEL.format(chain=chain).replace('http-port="8080"', ports)
    return moved(directory, chain, container=text, **files)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.0, "2s"), (1.5, "1.5s"), (0.25, "250ms"), (86400.0, "86400s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_a_body_has_a_limit_whatever_frames_it(tmp_path: Path) -> None:
    made = _moved(tmp_path, 'content-body-read-limit="10"')
    assert "limits: { body: 10 }" in made.text
    got = await outcome(made, "POST", "/a", headers=(("Transfer-Encoding", "chunked"),), body=b"x" * 11)
    assert (got.status, got.reason) == (413, "request_too_large")
    assert (await outcome(made, "POST", "/a", body=b"x" * 10)).status == 200


def test_timeouts_and_via(tmp_path: Path) -> None:
    made = _moved(tmp_path, 'via="a b" connection-timeout="2000" read-timeout="3000" idleTimeout="60000"')
    assert "timeouts: { connect: 2s, first_byte: 3s, idle: 3s }" in made.text
    assert "timeouts: { idle: 60s }" in made.text
    assert "via: { pseudonym: a-b }" in made.text


def test_via_of_both_directions_is_one(tmp_path: Path) -> None:
    made = _moved(
        tmp_path, body='<via-header request-prefix="in" response-prefix="out" repose-version="true"/>'
    )
    assert "via: { pseudonym: in, comment: true }" in made.text
    assert "one name in both directions" in notes(made, "container")


def test_connection_pools(tmp_path: Path) -> None:
    made = moved(tmp_path, "", http_connection_pool=POOLS)
    assert "timeouts: { connect: 1.5s, first_byte: 400s, idle: 400s, total: 400s }" in made.text
    assert part(made, "connection pool main").outcome == "moved with a difference"
    assert part(made, "connection pool identity").outcome == "not moved"
    assert part(made, "connection pools: the attribute http.proxy of pool").outcome == "not moved"


def test_a_keystore_is_told_and_its_passwords_are_not(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        body="<ssl-configuration need-client-auth='true'><keystore-filename>k.jks</keystore-filename>"
        "<keystore-password>hunter2</keystore-password><included-protocols><protocol>TLSv1.2</protocol>"
        "</included-protocols></ssl-configuration>",
    )
    said = notes(made, "container")
    assert "keytool -importkeystore -srckeystore k.jks" in said
    assert "client_ca" in said
    assert "hunter2" not in made.report.text() + made.text


def test_what_is_java_is_of_no_concern(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        'jmx-reset-time="15"',
        "<deployment-directory auto-clean='false'>/var</deployment-directory>"
        "<artifact-directory check-interval='1'>/usr</artifact-directory><logging-configuration href='x'/>",
    )
    assert [part.name for part in made.report.parts] == ["node n", "destination origin"]


@pytest.mark.parametrize(
    "attribute", ["content-body-read-limit", "idleTimeout", "connection-timeout", "read-timeout"]
)
def test_what_is_below_nothing_is_told(tmp_path: Path, attribute: str) -> None:
    with pytest.raises(
        MigrationError, match=rf"container\.cfg\.xml:1: {attribute} of deployment-config is at least"
    ):
        _moved(tmp_path, f'{attribute}="-1"')


def test_a_connection_that_was_kept_for_ever_is_told(tmp_path: Path) -> None:
    assert "for ever" in notes(_moved(tmp_path, 'idleTimeout="0"'), "container")


@pytest.mark.parametrize(
    ("ports", "status"), [("https-port='8443'", 503), ("http-port='8080' https-port='8443'", 200)]
)
async def test_certificates_of_clients_that_nobody_asks_for_refuse_unless_there_is_another_port(
    tmp_path: Path, ports: str, status: int
) -> None:
    made = _moved(tmp_path, body="<ssl-configuration need-client-auth='true'/>", ports=ports)
    assert (await outcome(made)).status == status
    assert part(made, "container").refuses is (status == 503)
