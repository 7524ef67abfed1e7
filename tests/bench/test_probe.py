from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.bench.probe import Probe, check, probes
from tests.bench.server import Ports
from tests.bench.workload import WORKLOADS, SigningKey


class _Answer(BaseHTTPRequestHandler):
    """Lets everybody in, with a body of its own."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def _probe(status: int, body: bytes | None = None) -> Probe:
    return Probe("a request", "GET", "/", "token", status, {}, body=body)


def test_an_answer_as_expected_is_no_problem(port: int) -> None:
    assert check(port, _probe(200, b"{}")) is None


def test_a_proxy_that_lets_everybody_in_is_found_out(port: int) -> None:
    assert check(port, _probe(401)) == "a request is answered 200, not 401"


def test_a_body_that_is_not_the_upstreams_is_found_out(port: int) -> None:
    assert check(port, _probe(200, b"[]")) == "a request is answered with 2 bytes that are not the upstream's"


def test_no_answer_is_a_problem() -> None:
    with Ports() as ports:
        assert "ConnectionRefusedError" in (check(ports.take(), _probe(200)) or "")


def test_a_policy_is_probed_for_each_refusal() -> None:
    token = SigningKey().token()
    asked = probes(WORKLOADS["W1"], token, policy=True)
    assert [probe.status for probe in asked] == [200, 401, 405, 400]
    assert [probe.token == token for probe in asked] == [True, False, True, True]


@pytest.mark.parametrize(("name", "status"), [("W1", 200), ("W2", 200), ("W3", 405), ("W4-up", 200)])
def test_a_bare_proxy_is_probed_with_the_workload_only(name: str, status: int) -> None:
    workload = WORKLOADS[name]
    (own,) = probes(workload, "a.b.c", policy=False)
    assert (own.status, own.path, own.sent) == (status, workload.path, workload.body)
    assert own.body == (None if workload.refused else workload.answer())
