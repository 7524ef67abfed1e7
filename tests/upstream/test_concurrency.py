"""A limit and its queue: who goes first, who is refused, and that no place is lost."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.api.reason import REASONS
from gateway.config.traffic import Concurrency
from gateway.upstream.concurrency import Limiter, Waiter


class Queued(Waiter):
    def __init__(self, rank: int, log: list[str], name: str = "") -> None:
        self.rank = rank
        self.log = log
        self.name = name or str(rank)
        self.state = "waits"

    def on_turn(self) -> None:
        self.state = "goes"
        self.log.append(f"{self.name} goes")

    def on_displaced(self) -> None:
        self.state = "displaced"
        self.log.append(f"{self.name} is displaced")


def limiter(**options: Any) -> Limiter:
    return Limiter("route", "images", Concurrency.model_validate(options), lambda: 0.0)


def full(queue: int) -> Limiter:
    made = limiter(limit=1, queue=queue)
    assert made.enter()
    return made


def test_lets_as_many_pass_as_the_limit_says() -> None:
    made = limiter(limit=2)
    assert [made.enter(), made.enter(), made.enter()] == [True, True, False]
    made.leave()
    assert made.enter()
    assert made.active == 2


def test_without_a_queue_the_next_is_refused_at_once() -> None:
    made = full(0)
    assert not made.wait(Queued(0, []))
    assert made.refused["queue_full"] == 1


def test_what_is_refused_is_answered_503_with_the_time_to_wait() -> None:
    for scope, seconds in (("route", 2), ("upstream", 1)):
        options = Concurrency.model_validate({"limit": 1, "queue_timeout": seconds - 0.5})
        fault = Limiter(scope, "a", options, lambda: 0.0).fault
        assert (fault.status, fault.reason, fault.retry_after) == (
            503,
            f"{scope}_concurrency_exceeded",
            seconds,
        )
        assert fault.reason in REASONS


def test_the_highest_class_goes_first_and_within_it_the_first_that_came() -> None:
    made, log = full(10), list[str]()
    for name, rank in (("a", 2), ("b", 0), ("c", 1), ("d", 0)):
        assert made.wait(Queued(rank, log, name))
    for _ in range(4):
        made.leave()
    assert log == ["b goes", "d goes", "c goes", "a goes"]
    assert (made.active, made.waiting) == (1, 0)


def test_a_full_queue_refuses_the_youngest_of_the_lowest_class() -> None:
    made, log = full(3), list[str]()
    for name, rank in (("a", 2), ("b", 1), ("c", 2)):
        assert made.wait(Queued(rank, log, name))
    assert made.wait(Queued(0, log, "d"))
    assert log == ["c is displaced"]
    assert made.wait(Queued(1, log, "e"))
    assert log == ["c is displaced", "a is displaced"]
    assert not made.wait(Queued(1, log, "f")), "one of the same class was here before"
    assert made.refused == {"queue_full": 1, "displaced": 2, "queue_timeout": 0}


def test_who_waits_is_not_overtaken_by_who_comes_when_a_place_is_free() -> None:
    made, log = full(3), list[str]()
    waiter = Queued(1, log)
    made.wait(waiter)
    assert not made.enter()
    made.leave()
    assert waiter.state == "goes"


def test_who_gives_up_leaves_the_queue() -> None:
    made, log = full(3), list[str]()
    late, gone = Queued(0, log), Queued(0, log)
    made.wait(late)
    made.wait(gone)
    made.give_up(late, late=True)
    made.give_up(gone, late=False)
    made.leave()
    assert (log, made.active, made.waiting, made.refused["queue_timeout"]) == ([], 0, 0, 1)


def test_an_adaptive_limit_takes_the_latency_of_what_leaves() -> None:
    now = 0.0
    made = Limiter(
        "upstream",
        "a",
        Concurrency.model_validate({"adaptive": {"start": 10, "min": 1}, "queue": 5}),
        lambda: now,
    )
    assert made.limit == 10
    for _ in range(40):
        now += 1.0
        for _ in range(made.limit):
            assert made.enter()
        for _ in range(made.active):
            made.leave(0.01)
    assert made.limit > 10
    assert made.active == 0


@given(
    limit=st.integers(1, 4),
    queue=st.integers(0, 5),
    steps=st.lists(st.tuples(st.sampled_from("aaag"), st.integers(0, 3), st.integers(0, 30)), max_size=120),
)
def test_no_place_is_lost_and_none_is_given_twice(
    limit: int, queue: int, steps: list[tuple[str, int, int]]
) -> None:
    made, log = limiter(limit=limit, queue=queue), list[str]()
    inside: list[Queued] = []
    queued: list[Queued] = []
    for what, rank, pick in steps:
        if what == "a":
            one = Queued(rank, log)
            if made.enter():
                one.state = "goes"
                inside.append(one)
            elif made.wait(one):
                queued.append(one)
            else:
                assert made.waiting == queue
                assert all(other.rank <= rank for other in queued)
        elif pick % 2 and queued:
            made.give_up(queued.pop(pick % len(queued)), late=True)
        elif inside:
            inside.pop(pick % len(inside))
            best = min((other.rank for other in queued), default=None)
            made.leave()
            went = [other for other in queued if other.state == "goes"]
            assert [other.rank for other in went] == ([] if best is None else [best])
        inside += [one for one in queued if one.state == "goes"]
        queued = [one for one in queued if one.state == "waits"]
        assert (made.active, made.waiting) == (len(inside), len(queued))
        assert made.active <= limit and made.waiting <= queue
        assert not queued or made.active == limit
