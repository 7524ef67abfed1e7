"""Requests at their pace."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest

from gateway.api.network import HttpAnswer, HttpError
from gateway.replay.replay import Pace, Replay
from gateway.replay.request import Request


def _request(number: int, at: float = 0.0, **options: object) -> Request:
    made = Request(
        f"req-{number}", at, "GET", f"/{number}", "api.test", (("accept", "a"),), b"", "p", "u", 200, None
    )
    return made._replace(**options)  # type: ignore[arg-type]


class _Client:
    """A gateway that answers with `status`; `asked` is what it was asked, and when."""

    def __init__(self, status: int = 200, body: bytes = b"{}", delay: float = 0.0) -> None:
        self.answer = HttpAnswer(status, {}, body)
        self.asked: list[tuple[str, list[tuple[str, str]], float]] = []
        self.under_way = self.most = 0
        self._delay = delay

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout: float | None = None,
    ) -> HttpAnswer:
        self.asked.append((path, list(headers), asyncio.get_running_loop().time()))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self._delay)
        self.under_way -= 1
        if path == "/7":
            raise HttpError("timeout")
        return self.answer


async def test_answers_are_held_against_what_was_recorded() -> None:
    client = _Client()
    requests = [_request(1), _request(2, status=404), _request(3, answer=b'{"a": 1}'), _request(7)]
    total = await Replay(client).run(requests, Pace(rate=1000))
    assert (total.sent, total.same, total.different, total.failed) == (4, 1, 2, {"timeout": 1})
    assert total.kinds == {"status": 1, "$.a": 1}
    assert [example.request_id for example in total.examples] == ["req-2", "req-3"]


async def test_or_against_another_gateway() -> None:
    one, other = _Client(), _Client(body=b'{"a": 1}')
    total = await Replay(one, against=other).run([_request(1, status=500)], Pace(rate=1000))
    assert total.kinds == {"$.a": 1} and len(other.asked) == 1


async def test_each_has_its_host_its_fields_and_the_token_of_its_project() -> None:
    client = _Client()
    replay = Replay(client, token=lambda request: f"token-of-{request.project}", headers=[("X-Own", "1")])
    await replay.run([_request(1)], Pace(rate=1000))
    assert client.asked[0][1] == [
        ("Host", "api.test"),
        ("accept", "a"),
        ("X-Own", "1"),
        ("X-Auth-Token", "token-of-p"),
    ]


async def test_the_pace_is_the_recorded_one_or_times_it_or_a_rate() -> None:
    pace = Pace(speed=2.0)
    assert [pace.due(number, _request(number, at), 10.0) for number, at in enumerate((10.0, 12.0))] == [
        0.0,
        1.0,
    ]
    assert [Pace(rate=4).due(number, _request(number), 0.0) for number in range(3)] == [0.0, 0.25, 0.5]
    client = _Client()
    await Replay(client).run([_request(1, 100.0), _request(2, 100.2)], Pace(speed=2.0))
    assert client.asked[1][2] - client.asked[0][2] >= 0.09


async def test_no_more_are_under_way_than_may() -> None:
    client = _Client(delay=0.01)
    await Replay(client, at_once=3).run([_request(number) for number in range(10, 30)], Pace(rate=1e6))
    assert client.most == 3 and len(client.asked) == 20


async def test_what_keeps_requests_from_being_read_is_raised_as_it_is() -> None:
    def requests() -> Iterator[Request]:
        yield _request(1)
        raise PermissionError("log")

    client = _Client()
    with pytest.raises(PermissionError):
        await Replay(client).run(requests(), Pace(rate=1000))
