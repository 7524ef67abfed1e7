import re
import socket
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.collector import Collector, Outcome
from gateway.config.model import Tracing
from gateway.tls import load_authorities
from tests.support.certificates import authority, server_context, written
from tests.support.otlp import Receiver, partial
from tests.support.upstream import closed_port


def request() -> bytes:
    made = ExportTraceServiceRequest()
    made.resource_spans.add().scope_spans.add().spans.add(name="GET", kind=2, trace_id=b"a" * 16)
    return made.SerializeToString()


def collector(url: str, **options: object) -> Collector:
    return Collector(Tracing.model_validate({"endpoint": url, **options}), None)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_request_is_posted_with_its_fields(compression: str) -> None:
    with Receiver() as receiver:
        sender = collector(
            f"{receiver.url}/otlp/traces", headers={"Api-Key": "sesame"}, compression=compression
        )
        assert sender.send(request()) == Outcome()
        sender.close()
        ((path, fields),) = receiver.requests
        assert path == "/otlp/traces"
        assert fields["Content-Type"] == "application/x-protobuf"
        assert (fields["Api-Key"], fields.get("Content-Encoding")) == (
            "sesame",
            "gzip" if compression == "gzip" else None,
        )
        assert re.fullmatch(r"Weir/\S+", fields["User-Agent"])
        assert [span.name for span in receiver.spans] == ["GET"]


def test_without_a_path_it_is_that_of_the_protocol() -> None:
    with Receiver() as receiver:
        sender = collector(receiver.url)
        assert sender.send(request()).failure is None
        sender.close()
        assert receiver.requests[0][0] == "/v1/traces"


@pytest.mark.parametrize(
    ("status", "fields", "outcome"),
    [
        (400, {}, Outcome("it answered 400")),
        (401, {"Retry-After": "7"}, Outcome("it answered 401", wait=7.0)),
        (301, {"Location": "/elsewhere"}, Outcome("it answered 301")),
        (429, {"Retry-After": "3"}, Outcome("it answered 429", again=True, wait=3.0)),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, Outcome("it answered 503", again=True)),
        (503, {"Retry-After": "9" * 40}, Outcome("it answered 503", again=True)),
    ],
)
def test_a_refusal_says_whether_to_try_again(status: int, fields: dict[str, str], outcome: Outcome) -> None:
    with Receiver() as receiver:
        receiver.answers.append((status, fields, b""))
        sender = collector(receiver.url)
        assert sender.send(request()) == outcome
        assert sender.send(request()) == Outcome()
        sender.close()


def test_spans_that_were_refused_are_told() -> None:
    with Receiver() as receiver:
        receiver.answers += [
            partial(3),
            (200, {"Content-Type": "application/x-protobuf"}, b"\xff\xff"),
            (200, {"Content-Type": "application/json"}, b"{}"),
        ]
        sender = collector(receiver.url)
        assert [sender.send(request()).rejected for _ in range(3)] == [3, 0, 0]
        sender.close()


def test_a_connection_that_the_collector_has_closed_is_made_anew() -> None:
    with Receiver() as receiver:
        sender = collector(receiver.url)
        assert sender.send(request()).failure is None
        connection = sender._connection
        assert connection is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        assert sender.send(request()) == Outcome()
        assert len(receiver.spans) == 2
        sender.close()


def test_a_large_answer_is_not_read_to_its_end() -> None:
    with Receiver() as receiver:
        receiver.answers.append((200, {}, b"x" * 1_000_000))
        sender = collector(receiver.url)
        assert sender.send(request()) == Outcome()
        assert sender.send(request()) == Outcome()
        sender.close()


def test_nobody_there() -> None:
    outcome = collector(f"http://127.0.0.1:{closed_port()}").send(request())
    assert outcome == Outcome("connection refused", again=True)


def test_a_collector_that_hangs_is_waited_for_no_longer_than_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = collector(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout="50ms")
        assert sender.send(request()) == Outcome("timed out", again=True)


def test_what_is_no_http_is_a_failure() -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(1 << 16)
                accepted.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        outcome = collector(f"http://127.0.0.1:{server.getsockname()[1]}").send(request())
        thread.join()
        assert outcome.again
        assert outcome.failure is not None


@pytest.mark.parametrize("known", [True, False])
def test_the_certificate_of_an_https_collector_is_verified(tmp_path: Path, known: bool) -> None:
    import ssl

    directory = written(tmp_path, ca=authority().certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(context, directory, "ca.pem")
    host = "127.0.0.1" if known else "other.test"
    with Receiver(server_context(authority().sign(host), tmp_path)) as receiver:
        sender = Collector(Tracing.model_validate({"endpoint": receiver.url}), context)
        outcome = sender.send(request())
        sender.close()
        if known:
            assert outcome == Outcome()
        else:
            assert outcome.failure is not None
            assert "certificate" in outcome.failure.lower()
            assert receiver.requests == []
