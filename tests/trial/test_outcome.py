"""Messages as they were sent."""

from gateway.trial.outcome import message_of


def test_a_request() -> None:
    message = message_of(b"POST /a HTTP/1.1\r\nHost: b\r\nX: 1\r\nX: 2\r\n\r\nhello")
    assert message == ("POST /a HTTP/1.1", [("Host", "b"), ("X", "1"), ("X", "2")], b"hello")


def test_an_answer_behind_interim_ones() -> None:
    message = message_of(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nok"
    )
    assert (message.line, message.status, message.headers, message.body) == (
        "200 OK",
        200,
        [("A", "b")],
        b"ok",
    )


def test_chunks_are_joined() -> None:
    message = message_of(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\nA\r\n0123456789\r\n0\r\n\r\n"
    )
    assert message.body == b"ab0123456789"
