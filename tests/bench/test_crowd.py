import resource

import pytest

from tests.bench.crowd import Crowd, connections_allowed
from tests.bench.pace import PaceError
from tests.bench.stall import Upstream

_REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class _Limits:
    """A kernel that lets only root beyond the hard limit."""

    def __init__(self, soft: int, hard: int, *, root: bool) -> None:
        self.now = (soft, hard)
        self._root = root

    def get(self, which: int) -> tuple[int, int]:
        return self.now

    def set(self, which: int, limits: tuple[int, int]) -> None:
        soft, hard = limits
        beyond = self.now[1] != resource.RLIM_INFINITY and hard > self.now[1]
        if beyond and not self._root:
            raise ValueError("not allowed to raise maximum limit")
        self.now = (soft, hard)


@pytest.mark.parametrize(
    ("soft", "hard", "root", "allowed", "after"),
    [
        (20_000, 20_000, False, 10_000, (20_000, 20_000)),
        (1024, 20_000, False, 10_000, (10_256, 20_000)),
        (1024, resource.RLIM_INFINITY, False, 10_000, (10_256, resource.RLIM_INFINITY)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, False, 10_000, (resource.RLIM_INFINITY,) * 2),
        (1024, 4096, True, 10_000, (10_256, 10_256)),
        (1024, 4096, False, 3840, (4096, 4096)),
        (64, 128, False, 0, (128, 128)),
    ],
)
def test_the_limit_is_raised_as_far_as_needed_and_allowed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, root: bool, allowed: int, after: tuple[int, int]
) -> None:
    limits = _Limits(soft, hard, root=root)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert connections_allowed(10_000) == allowed
    assert limits.now == after


def test_every_connection_answers_and_stays() -> None:
    with Upstream().serving() as upstream, Crowd(upstream.port, _REQUEST) as crowd:
        crowd.grow(12)
        assert len(crowd) == 12
        assert crowd.alive() == 12
        assert {connection.getsockname()[0] for connection in crowd} == {f"127.0.0.{n}" for n in range(2, 10)}
        for connection in list(crowd)[:5]:
            connection.close()
        assert crowd.alive() == 7


def test_another_status_is_an_error() -> None:
    with (
        Upstream().serving() as upstream,
        Crowd(upstream.port, _REQUEST, status=204) as crowd,
        pytest.raises(PaceError, match="answered 200"),
    ):
        crowd.grow(1)
