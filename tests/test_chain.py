"""The chain: verdicts, balance, conditions, bugs, bodies and shadow, with no server."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Body, Exchange, Fault, Filter, Options, Principal, Refused, Response, Verdict
from gateway.api.filter import Peers
from gateway.api.testing import FrozenServices, StreamBody, exchange
from gateway.chain import INTERNAL_ERROR, SHADOW_BUDGET, Chain, Entry, Run
from gateway.record import Step

Hook = Callable[[Exchange], Any]


class Scripted(Filter[Options]):
    """A filter whose hooks are given, and which remembers that they ran."""

    name = "scripted"
    Config = Options

    def __init__(self, seen: list[str], label: str, request: Hook | None, response: Hook | None) -> None:
        super().__init__(Options(), FrozenServices())
        self.seen, self.label = seen, label
        self.request, self.response = request, response

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        self.seen.append(f"{self.label} in")
        return cast("Verdict", self.request(exchange) if self.request is not None else None)

    def on_response(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        self.seen.append(f"{self.label} out")
        return cast("Verdict", self.response(exchange) if self.response is not None else None)


class Bench:
    """A chain of scripted filters and what happened in it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.bugs: list[tuple[str, BaseException]] = []
        self.entries: list[Entry] = []

    def add(
        self,
        label: str,
        request: Hook | None = None,
        response: Hook | None = None,
        *,
        mode: str = "enforce",
        condition: Callable[[Exchange], bool] | None = None,
        shadow_percent: float = 100.0,
        delegate: float | None = None,
        statuses: frozenset[int] | None = None,
        judges: frozenset[bytes] = frozenset(),
        believes: Mapping[bytes, Peers] = {},
    ) -> "Bench":
        filter = Scripted(self.seen, label, request, response)
        filter.statuses = statuses
        filter.judges = judges
        filter.believes = believes
        self.entries.append(
            Entry(
                len(self.entries),
                label,
                "scripted",
                filter,
                mode=mode,
                condition=condition,
                shadow_percent=shadow_percent,
                delegate=delegate,
                source=lambda rule: f"gateway.yaml:{label}",
            )
        )
        return self

    def run(self, subject: Exchange | None = None) -> Run:
        return Run(Chain(self.entries), subject or exchange(), self.render, self.report)

    def render(self, fault: Fault, exchange: Exchange) -> Response:
        return Response(fault.status, body=fault.message.encode(), reason=fault.reason)

    def report(self, where: str, exchange: Exchange, error: BaseException) -> None:
        self.bugs.append((where, error))


def settle(outcome: Any) -> Any:
    async def wait() -> Any:
        return await outcome

    return asyncio.run(wait()) if inspect.isawaitable(outcome) else outcome


def through(
    bench: Bench, subject: Exchange | None = None, *, status: int = 200
) -> tuple[Run, Exchange, Verdict]:
    """One exchange all the way: inward, an upstream that answers unless refused, outward, the end."""
    subject = subject or exchange()
    run = bench.run(subject)
    verdict: Verdict = settle(run.inward())
    if verdict is None:
        subject.response = Response(status, body=b"upstream")
    else:
        subject.response = verdict if isinstance(verdict, Response) else bench.render(verdict, subject)
    settle(run.outward())
    run.finish()
    return run, subject, verdict


REFUSAL = Fault(403, "address_denied", "No.")


async def later(verdict: Verdict = None) -> Verdict:
    await asyncio.sleep(0)
    return verdict


def test_passes_inward_in_order_and_outward_in_reverse() -> None:
    bench = Bench().add("a").add("b").add("c")
    _, _, verdict = through(bench)
    assert verdict is None
    assert bench.seen == ["a in", "b in", "c in", "c out", "b out", "a out"]


def test_a_refusal_leaves_through_the_filters_that_passed_and_no_other() -> None:
    bench = Bench().add("a").add("b", lambda _: REFUSAL).add("c")
    run, subject, verdict = through(bench)
    assert verdict is REFUSAL
    assert bench.seen == ["a in", "b in", "a out"]
    assert subject.response is not None
    assert subject.response.status == 403
    assert run.decider is not None
    assert (run.decider.entry.name, run.decider.verdict, run.decider.reason) == (
        "b",
        "refuse",
        "address_denied",
    )


def test_an_answer_of_a_filter_counts_as_answer() -> None:
    bench = Bench().add("a").add("b", lambda _: Response(204, reason="answered"))
    run, subject, _ = through(bench)
    assert subject.response is not None
    assert subject.response.status == 204
    assert run.decider is not None
    assert run.decider.verdict == "answer"


@given(
    st.lists(
        st.tuples(st.sampled_from(["pass", "later", "refuse", "answer", "bug"]), st.booleans()), max_size=7
    )
)
def test_balance_holds_for_every_chain(script: list[tuple[str, bool]]) -> None:
    """A filter sees the response once if it let the request pass, and never otherwise."""
    hooks: dict[str, Hook] = {
        "pass": lambda _: None,
        "later": lambda _: later(),
        "refuse": lambda _: REFUSAL,
        "answer": lambda _: Response(200),
        "bug": lambda _: 1 / 0,
    }
    bench = Bench()
    for number, (kind, holds) in enumerate(script):
        bench.add(str(number), hooks[kind], condition=lambda _, holds=holds: holds)  # type: ignore[misc]
    through(bench)
    reached = [kind for kind, holds in script if holds]
    passed = 0
    for kind in reached:
        if kind not in ("pass", "later"):
            break
        passed += 1
    ins = [entry for entry in bench.seen if entry.endswith("in")]
    outs = [entry for entry in bench.seen if entry.endswith("out")]
    assert len(outs) == passed
    assert outs == [entry.replace("in", "out") for entry in ins[:passed]][::-1]


def test_waits_only_for_a_hook_that_returns_an_awaitable() -> None:
    assert Bench().add("a").run().inward() is None
    pending = Bench().add("a", lambda _: later()).run().inward()
    assert inspect.isawaitable(pending)
    assert settle(pending) is None


def test_goes_on_after_a_wait_and_refuses_after_one() -> None:
    bench = Bench().add("a", lambda _: later()).add("b").add("c", lambda _: later(REFUSAL)).add("d")
    _, _, verdict = through(bench)
    assert verdict is REFUSAL
    assert bench.seen == ["a in", "b in", "c in", "b out", "a out"]


@pytest.mark.parametrize("hook", [lambda _: 1 / 0, lambda _: _raise_later()], ids=["at once", "after a wait"])
def test_a_bug_is_a_plain_500_and_the_chain_unwinds(hook: Hook) -> None:
    bench = Bench().add("a").add("b", hook).add("c")
    run, subject, verdict = through(bench)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.message) == (500, "filter_failed", INTERNAL_ERROR)
    assert bench.seen == ["a in", "b in", "a out"]
    assert [where for where, _ in bench.bugs] == ["b.on_request"]
    assert run.decider is not None
    assert (run.decider.entry.name, run.decider.verdict) == ("b", "error")
    assert subject.response is not None


async def _raise_later() -> Verdict:
    await asyncio.sleep(0)
    raise ZeroDivisionError


def test_a_hook_that_awaits_to_something_else_is_a_bug() -> None:
    async def wrong() -> Any:
        return "yes"

    bench = Bench().add("a", lambda _: wrong())
    _, _, verdict = through(bench)
    assert isinstance(verdict, Fault)
    assert verdict.reason == "filter_failed"
    assert "str" in str(bench.bugs[0][1])


def test_a_bug_on_the_way_out_replaces_the_answer_and_the_rest_still_see_one() -> None:
    statuses: list[int] = []

    def look(exchange: Exchange) -> None:
        assert exchange.response is not None
        statuses.append(exchange.response.status)

    bench = Bench().add("a", response=look).add("b", response=lambda _: 1 / 0).add("c", response=look)
    _, subject, _ = through(bench)
    assert statuses == [200, 500]
    assert subject.response is not None
    assert subject.response.status == 500


def test_an_answer_may_be_replaced_on_the_way_out_after_a_wait() -> None:
    async def replace() -> Verdict:
        await asyncio.sleep(0)
        return Response(299)

    bench = Bench().add("a").add("b", response=lambda _: replace())
    run, subject, _ = through(bench)
    assert subject.response is not None
    assert subject.response.status == 299
    assert bench.seen == ["a in", "b in", "b out", "a out"]
    assert run.decider is not None
    assert run.decider.phase == "response"


def test_refused_raised_by_a_hook_is_its_verdict() -> None:
    def refuse(_: Exchange) -> None:
        raise Refused(REFUSAL)

    bench = Bench().add("a", refuse)
    assert through(bench)[2] is REFUSAL
    assert not bench.bugs


def test_a_false_condition_skips_both_hooks_and_says_so() -> None:
    bench = Bench().add("a", lambda _: REFUSAL, condition=lambda _: False).add("b")
    run, _, verdict = through(bench)
    assert verdict is None
    assert bench.seen == ["b in", "b out"]
    assert (run.steps[0].verdict, run.steps[0].reason) == ("skip", "condition_false")


def test_a_condition_is_judged_once_on_the_request_as_it_stands() -> None:
    asked: list[str | None] = []

    def condition(exchange: Exchange) -> bool:
        asked.append(exchange.request.headers.get("x-mark"))
        return True

    bench = Bench().add("a", lambda e: e.request.headers.set("X-Mark", "yes")).add("b", condition=condition)
    through(bench)
    assert asked == ["yes"]
    assert bench.seen[-2:] == ["b out", "a out"]


def test_a_guard_whose_condition_is_broken_still_guards() -> None:
    bench = Bench().add("a", lambda _: REFUSAL, condition=lambda _: bool(1 / 0))
    _, _, verdict = through(bench)
    assert verdict is REFUSAL
    assert bench.bugs[0][0] == "a.when"


@pytest.mark.parametrize(("status", "seen"), [(200, []), (401, ["a out"]), (500, [])])
def test_a_filter_sees_the_answers_of_its_statuses_alone(status: int, seen: list[str]) -> None:
    bench = Bench().add("a", statuses=frozenset((401, 404)))
    run, _, _ = through(bench, status=status)
    assert run.sees(status) is bool(seen)
    assert bench.seen == ["a in", *seen]
    assert [step.phase for step in run.steps] == ["request", *("response" for _ in seen)]


def test_the_status_that_counts_is_the_one_that_the_filters_inside_have_made() -> None:
    bench = Bench().add("a", statuses=frozenset((401,)))
    bench.add("b", response=lambda subject: Fault(401, "token_missing", "No."))
    _, subject, _ = through(bench)
    assert bench.seen == ["a in", "b in", "b out", "a out"]
    assert subject.response is not None and subject.response.status == 401


def test_a_filter_of_no_status_looks_at_no_answer() -> None:
    chain = Chain(Bench().add("a", statuses=frozenset()).add("b", statuses=frozenset()).entries)
    assert (chain.outward, chain.statuses) == (False, frozenset())
    assert [entry.on_response for entry in chain.entries] == [None, None]


def test_a_shadow_of_some_statuses_stays_out_of_others() -> None:
    bench = Bench().add("a", mode="shadow", statuses=frozenset((401,)))
    through(bench)
    assert bench.seen == ["a in"]
    through(bench, status=401)
    assert bench.seen == ["a in", "a in", "a out"]


MINE = frozenset((b"x-mine",))


def forwarded(bench: Bench, *, owned: frozenset[bytes] = MINE) -> tuple[bool, bool]:
    """Whether a field that filters own stays in a request before its chain, and behind it."""
    chain = Chain(bench.entries)
    chain.own(owned)
    subject = exchange(headers=[("X-Mine", "client's"), ("X-Other", "other")])
    before = b"x-mine" not in chain.unwanted
    assert settle(Run(chain, subject, bench.render, bench.report).inward()) is None
    assert subject.request.headers.get("X-Other") == "other"
    return before, subject.request.headers.has(b"x-mine")


def test_a_field_that_filters_own_goes_to_who_judges_it_and_further_only_if_he_has() -> None:
    assert forwarded(Bench().add("a")) == (False, True)  # the listener takes it away
    assert forwarded(Bench().add("a").add("judge", judges=MINE)) == (True, True)
    assert forwarded(Bench().add("judge", judges=MINE, condition=lambda _: True)) == (True, True)
    assert forwarded(Bench().add("judge", judges=MINE, condition=lambda _: False)) == (True, False)
    assert forwarded(Bench().add("judge", judges=MINE, mode="shadow")) == (True, False)
    assert forwarded(Bench().add("judge", lambda _: later(), judges=MINE)) == (True, True)


def test_one_judge_of_several_is_enough() -> None:
    holds: dict[bool, Callable[[Exchange], bool]] = {True: lambda _: True, False: lambda _: False}
    for first in holds:
        for second in holds:
            bench = (
                Bench()
                .add("first", judges=MINE, condition=holds[first])
                .add("wait", lambda _: later())
                .add("second", judges=MINE, condition=holds[second])
            )
            assert forwarded(bench) == (True, first or second)


def sent_on(bench: Bench, *lines: tuple[str, str]) -> list[str]:
    """The lines of a field that filters own behind their chain, of a client that sends `lines` of it."""
    chain = Chain(bench.entries)
    chain.own(MINE)
    subject = exchange(headers=[("X-Other", "a, b"), *lines])
    assert settle(Run(chain, subject, bench.render, bench.report).inward()) is None
    assert subject.request.headers.get("X-Other") == "a, b"
    return subject.request.headers.all("X-Mine")


NO: Callable[[Exchange], bool] = lambda _: False  # noqa: E731 - a condition


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("client", [[], [("X-Mine", "client's")], [("x-mine", "a"), ("X-Mine", "b")]])
def test_what_a_filter_puts_in_the_place_of_an_unjudged_field_arrives(
    client: list[tuple[str, str]], before: bool
) -> None:
    for edit in (
        lambda made: made.request.headers.set("X-Mine", "operator's"),
        lambda made: made.request.headers.add("X-Mine", "operator's"),
    ):
        bench = Bench()
        if before:
            bench.add("headers", edit)
        bench.add("judge", judges=MINE, condition=NO).add("wait", lambda _: later())
        if not before:
            bench.add("headers", edit)
        assert sent_on(bench, *client) == ["operator's"]


@pytest.mark.parametrize(
    "lines",
    [
        ["a, b"],  # as `merge` leaves it
        ["a", "b"],  # as `split` does
        ["a;q=0.5", "b ; q=0.5"],  # with a weight
        ["b"],
    ],
)
def test_what_a_client_says_is_known_again_in_another_form(lines: list[str]) -> None:
    def edit(made: Exchange) -> None:
        made.request.headers.remove("X-Mine")
        for line in (*lines, "operator's"):
            made.request.headers.add("X-Mine", line)

    bench = Bench().add("judge", judges=MINE, condition=NO).add("headers", edit)
    assert sent_on(bench, ("X-Mine", "a"), ("X-Mine", "b")) == ["operator's"]
    assert sent_on(bench, ("X-Mine", "a,b")) == ["operator's"]


def test_a_judge_may_say_that_it_has_not_judged() -> None:
    bench = Bench()
    bench.add("judge", lambda made: made.leave_unjudged(bench.entries[0].filter), judges=MINE)
    assert sent_on(bench, ("X-Mine", "client's")) == []
    assert sent_on(bench.add("second", judges=MINE), ("X-Mine", "client's")) == ["client's"]
    bench = Bench().add("judge", judges=MINE)
    bench.add("shadow", lambda made: made.leave_unjudged(bench.entries[0].filter), judges=MINE, mode="shadow")
    assert sent_on(bench, ("X-Mine", "client's")) == ["client's"], "a shadow speaks for itself"


def test_what_only_some_peers_may_say_is_taken_from_others_before_the_first_filter() -> None:
    def seen(bench: Bench, peer: str) -> tuple[list[str], list[str]]:
        """The lines that the first filter sees, and those behind the last."""
        chain = Chain(bench.entries)
        chain.own(MINE)
        subject = exchange(headers=[("X-Mine", "ann")], peer=peer)
        first: list[str] = []
        watching = Bench().add("first", lambda made: first.extend(made.request.headers.all("X-Mine")))
        chain = Chain([*watching.entries, *bench.entries])
        chain.own(MINE)
        assert settle(Run(chain, subject, bench.render, bench.report).inward()) is None
        return first, subject.request.headers.all("X-Mine")

    near, far, other = "10.0.0.1", "203.0.113.1", "10.0.0.2"
    one = Bench().add("judge", judges=MINE, believes={b"x-mine": {near}})
    assert seen(one, near) == (["ann"], ["ann"])
    assert seen(one, far) == ([], [])
    two = one.add("second", judges=MINE, believes={b"x-mine": {other}}, mode="shadow")
    assert seen(two, other) == (["ann"], ["ann"]), "what the one in shadow believes he gets"
    assert seen(two, far) == ([], [])
    assert seen(two.add("third", judges=MINE), far) == (["ann"], ["ann"]), "who judges it for everybody"


def test_who_finds_what_a_peer_may_say_is_heard_where_the_peer_is_not() -> None:
    """The same value twice: the client's own line goes, the filter's stays."""

    def found(made: Exchange) -> None:
        made.request.headers.remove("X-Mine")
        made.request.headers.add("X-Mine", "ann;q=1.0")

    believes = {b"x-mine": {exchange().peer}}
    bench = Bench().add("found", found).add("judge", judges=MINE, believes=believes, mode="shadow")
    assert sent_on(bench, ("X-Mine", "ann;q=1.0")) == ["ann;q=1.0"]
    bench = Bench().add("judge", judges=MINE, believes=believes, mode="shadow")
    assert sent_on(bench, ("X-Mine", "ann;q=1.0"), ("x-mine", "bob")) == []


def test_what_no_filter_owns_passes_whoever_judges_it() -> None:
    bench = Bench().add("judge", judges=MINE, condition=lambda _: False)
    assert forwarded(bench, owned=frozenset()) == (True, True)


def test_an_entry_that_is_off_is_not_in_the_chain() -> None:
    bench = Bench().add("a", lambda _: REFUSAL, mode="off")
    assert through(bench)[2] is None
    assert bench.seen == []


def test_notes_of_a_pass_are_in_its_step() -> None:
    bench = Bench().add("a", lambda e: e.note("rate_counted", rule=("limits", 0), cost=1)).add("b")
    run, _, _ = through(bench)
    note = run.steps[0].note
    assert note is not None
    assert (note[0].reason, note[0].rule, note[0].facts) == ("rate_counted", ("limits", 0), {"cost": 1})
    assert run.steps[1].note is None


def test_deferred_callbacks_run_once_last_first_even_when_one_breaks() -> None:
    calls: list[str] = []

    def broken() -> None:
        raise ZeroDivisionError

    def defer(exchange: Exchange) -> None:
        exchange.defer(lambda: calls.append("first"))
        exchange.defer(broken)
        exchange.defer(lambda: calls.append("last"))

    bench = Bench().add("a", defer).add("b", lambda _: REFUSAL)
    run, _, _ = through(bench)
    run.finish()
    assert calls == ["last", "first"]
    assert [where for where, _ in bench.bugs] == ["defer"]


# ---- bodies


def upper(chunk: bytes) -> bytes:
    return chunk.upper()


def refuse_x(chunk: bytes) -> bytes:
    if b"x" in chunk:
        raise Refused(REFUSAL)
    return chunk


def test_a_wrapper_sees_each_chunk_and_the_end() -> None:
    chunks: list[bytes] = []

    def see(chunk: bytes) -> bytes:
        chunks.append(chunk)
        return chunk

    subject = exchange("POST", body=Body(None))
    Bench().add("a", lambda e: e.request.body.wrap(see)).add("b", lambda e: e.request.body.wrap(upper)).run(
        subject
    ).inward()
    body = subject.request.body
    assert body.through(b"one") == b"ONE"
    assert body.through(b"") == b""
    assert chunks == [b"one", b""]


@pytest.mark.parametrize(
    ("wrapper", "verdict", "reason"),
    [(refuse_x, "refuse", "address_denied"), (lambda _: 1 / 0, "error", "filter_failed")],
)
def test_a_wrapper_that_refuses_or_breaks_is_named_in_the_record(
    wrapper: Any, verdict: str, reason: str
) -> None:
    subject = exchange("POST", body=Body(None))
    bench = Bench().add("a").add("b", lambda e: e.request.body.wrap(wrapper))
    run = bench.run(subject)
    run.inward()
    with pytest.raises(Refused) as raised:
        subject.request.body.through(b"x")
    assert raised.value.fault.reason == reason
    assert run.decider is not None
    assert (run.decider.entry.name, run.decider.verdict, run.decider.reason) == ("b", verdict, reason)


# ---- shadow


def shadow_step(run: Run) -> Step:
    return next(step for step in run.steps if step.entry.mode == "shadow")


def test_a_shadow_refusal_is_recorded_and_changes_nothing() -> None:
    bench = Bench().add("a", lambda _: REFUSAL, mode="shadow").add("b")
    run, subject, verdict = through(bench)
    assert verdict is None
    assert subject.response is not None
    assert subject.response.status == 200
    step = shadow_step(run)
    assert (step.verdict, step.reason, step.status) == ("refuse", "address_denied", 403)
    assert run.decider is None
    assert "a out" not in bench.seen


def test_shadow_edits_stay_in_the_overlay_that_shadow_filters_share() -> None:
    found: list[tuple[str | None, Principal | None]] = []

    def edit(exchange: Exchange) -> None:
        exchange.principal = Principal(user_id="shadow")
        exchange.request.headers.set("X-User-Id", "shadow")

    def look(exchange: Exchange) -> None:
        found.append((exchange.request.headers.get("x-user-id"), exchange.principal))

    bench = Bench().add("a", edit, mode="shadow").add("b", look).add("c", look, mode="shadow")
    through(bench)
    assert found[0] == (None, None)
    assert found[1][0] == "shadow"
    assert found[1][1] is not None


def test_reads_fall_through_to_later_enforced_edits() -> None:
    found: list[str | None] = []
    bench = (
        Bench()
        .add("a", lambda e: e.request.headers.set("X-One", "shadow"), mode="shadow")
        .add("b", lambda e: e.request.headers.set("X-Two", "real"))
        .add("c", lambda e: found.append(e.request.headers.get("x-two")), mode="shadow")
    )
    through(bench)
    assert found == ["real"]


def test_a_shadow_that_breaks_never_fails_a_request() -> None:
    bench = Bench().add("a", lambda _: 1 / 0, lambda _: 1 / 0, mode="shadow").add("b")
    run, _, verdict = through(bench)
    assert verdict is None
    assert shadow_step(run).verdict == "error"
    assert bench.bugs[0][0] == "a.shadow request"


def test_a_shadow_on_the_way_out_cannot_touch_the_answer() -> None:
    def spoil(exchange: Exchange) -> Response:
        assert exchange.response is not None
        exchange.response.headers.set("X-Spoilt", "yes")
        return Response(500)

    bench = Bench().add("a", response=spoil, mode="shadow")
    _, subject, _ = through(bench)
    assert subject.response is not None
    assert subject.response.status == 200
    assert not subject.response.headers.has("x-spoilt")


def test_a_shadow_body_wrapper_is_a_tap() -> None:
    subject = exchange("POST", body=Body(None))
    bench = Bench().add("a", lambda e: e.request.body.wrap(refuse_x), mode="shadow")
    run = bench.run(subject)
    run.inward()
    assert subject.request.body.through(b"axb") == b"axb"
    assert subject.request.body.through(b"more") == b"more"
    assert [step.verdict for step in run.steps] == ["pass", "refuse"]


async def test_a_shadow_that_waits_runs_beside_the_exchange() -> None:
    bench = Bench().add("a", lambda _: later(REFUSAL), mode="shadow").add("b")
    run = bench.run()
    assert run.inward() is None
    assert shadow_step(run).verdict == "undecided"
    for _ in range(5):
        await asyncio.sleep(0)
    assert shadow_step(run).verdict == "refuse"
    run.finish()


async def test_a_shadow_that_waits_too_long_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SHADOW_BUDGET > 0
    monkeypatch.setattr("gateway.chain.SHADOW_BUDGET", 0.001)

    async def forever() -> Verdict:
        await asyncio.Event().wait()
        return REFUSAL

    bench = Bench().add("a", lambda _: forever(), mode="shadow")
    run = bench.run()
    run.inward()
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)
    assert shadow_step(run).verdict == "undecided"
    assert not bench.bugs


async def test_what_a_shadow_still_waits_for_is_cancelled_at_the_end() -> None:
    cancelled = asyncio.Event()

    async def forever() -> Verdict:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return None

    run = Bench().add("a", lambda _: forever(), mode="shadow").run()
    run.inward()
    await asyncio.sleep(0)
    run.finish()
    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_a_shadow_collects_without_holding_the_stream() -> None:
    collected: list[bytes] = []

    async def collect(exchange: Exchange) -> Verdict:
        collected.append(await exchange.request.body.collect(100))
        return REFUSAL

    subject = exchange("POST", body=Body(None))
    run = Bench().add("a", collect, mode="shadow").run(subject)
    assert run.inward() is None
    await asyncio.sleep(0)
    body = subject.request.body
    assert [body.through(b"ab"), body.through(b"cd"), body.through(b"")] == [b"ab", b"cd", b""]
    for _ in range(5):
        await asyncio.sleep(0)
    assert collected == [b"abcd"]
    assert shadow_step(run).verdict == "refuse"
    run.finish()


def test_shadow_percent_takes_whole_exchanges_by_their_id() -> None:
    def share(percent: float, tail: str) -> bool:
        bench = Bench().add("a", mode="shadow", shadow_percent=percent)
        subject = exchange()
        subject.request_id = f"req-00000000-0000-4000-8000-0000{tail}"
        through(bench, subject)
        return bench.seen != []

    assert share(100, "ffffffff")
    assert share(50, "00000000")
    assert not share(0, "00000000")
    assert not share(50, f"{9_999:08x}")
    taken = sum(share(25, f"{number * 7919:08x}") for number in range(400))
    assert 60 < taken < 140


async def test_a_shadow_that_collects_misses_nothing_that_passes_before_its_task_runs() -> None:
    collected: list[bytes] = []

    async def collect(exchange: Exchange) -> Verdict:
        collected.append(await exchange.request.body.collect(100))
        return None

    subject = exchange("POST", body=Body(None))
    run = Bench().add("a", collect, mode="shadow").run(subject)
    assert run.inward() is None
    body = subject.request.body
    for chunk in (b"ab", b"cd", b""):  # all of it before the event loop turns
        assert body.through(chunk) == chunk
    for _ in range(6):
        await asyncio.sleep(0)
    assert collected == [b"abcd"]
    assert shadow_step(run).verdict == "pass"
    run.finish()


async def test_a_shadow_that_asks_for_more_than_is_kept_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.chain.TEE_LIMIT", 3)

    async def collect(exchange: Exchange) -> Verdict:
        await exchange.request.body.collect(100)
        return REFUSAL

    subject = exchange("POST", body=Body(None))
    bench = Bench().add("a", collect, mode="shadow")
    run = bench.run(subject)
    run.inward()
    assert subject.request.body.through(b"abcd") == b"abcd"
    for _ in range(6):
        await asyncio.sleep(0)
    assert shadow_step(run).verdict == "undecided"
    assert not bench.bugs
    run.finish()


def delegated(subject: Exchange) -> list[str]:
    return subject.request.headers.all("x-delegated")


def test_a_shadow_that_delegates_tells_of_its_refusal() -> None:
    bench = Bench().add("a", lambda _: REFUSAL, mode="shadow", delegate=0.25)
    bench.add("b", lambda exchange: None if delegated(exchange) else REFUSAL)
    _, subject, verdict = through(bench)
    assert verdict is None
    assert delegated(subject) == ["status_code=403`component=a`message=No.;q=0.25"]


@pytest.mark.parametrize(
    ("hook", "options"),
    [
        (lambda _: None, {}),
        (lambda _: Response(200), {}),
        (lambda _: Fault(403, "address_denied", cast("str", None)), {}),
        (lambda _: 1 / 0, {}),
        (lambda _: REFUSAL, {"condition": lambda _: False}),
        (lambda _: REFUSAL, {"shadow_percent": 0.0}),
    ],
)
def test_what_is_no_refusal_is_not_told(hook: Hook, options: dict[str, Any]) -> None:
    bench = Bench().add("a", hook, mode="shadow", delegate=0.5, **options)
    _, subject, verdict = through(bench)
    assert verdict is None
    assert delegated(subject) == []


def test_the_request_waits_for_the_verdict_of_a_shadow_that_delegates() -> None:
    bench = Bench().add("before").add("a", lambda _: later(REFUSAL), mode="shadow", delegate=0.25)
    bench.add("b", lambda exchange: REFUSAL if delegated(exchange) else None).add("after")
    run, subject, verdict = through(bench)
    assert verdict is REFUSAL
    assert delegated(subject) == ["status_code=403`component=a`message=No.;q=0.25"]
    assert bench.seen == ["before in", "a in", "b in", "before out"]
    assert [(step.entry.name, step.verdict) for step in run.steps] == [
        *(("before", "pass"), ("a", "refuse"), ("b", "refuse"), ("before", "pass")),
    ]
    passes = Bench().add("a", lambda _: later(), mode="shadow", delegate=0.25).add("b")
    run, subject, verdict = through(passes)
    assert verdict is None
    assert delegated(subject) == []
    assert passes.seen == ["a in", "b in", "b out", "a out"]


async def test_a_shadow_that_delegates_has_the_body_read_before_the_request_goes_on() -> None:
    async def judge(exchange: Exchange) -> Verdict:
        return REFUSAL if await exchange.request.body.collect(10) == b"abc" else None

    bench = Bench().add("a", judge, mode="shadow", delegate=0.5)
    subject = exchange("POST", body=StreamBody([b"a", b"bc"]))
    run = bench.run(subject)
    waiting = run.inward()
    assert inspect.isawaitable(waiting)
    assert await waiting is None
    run.finish()
    assert subject.request.body.complete == b"abc"
    assert len(delegated(subject)) == 1


async def test_a_request_that_ends_while_it_waits_to_be_told_of_leaves_nothing_behind() -> None:
    cancelled: list[bool] = []

    async def hang(exchange: Exchange) -> Verdict:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return None

    run = Bench().add("a", hang, mode="shadow", delegate=0.5).run()
    waiting = run.inward()
    assert inspect.isawaitable(waiting)
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    run.finish()
    assert cancelled == [True]


def test_a_refusal_of_the_answer_is_not_told() -> None:
    bench = Bench().add("a", None, lambda _: REFUSAL, mode="shadow", delegate=0.5)
    _, subject, _ = through(bench)
    assert delegated(subject) == []


def test_a_body_that_a_filter_replaces_is_what_the_others_see_and_its_wrappers_are_done() -> None:
    seen: list[bytes] = []

    def see(chunk: bytes) -> bytes:
        seen.append(chunk)
        return chunk

    def watch(exchange: Exchange) -> None:
        exchange.request.body.wrap(see)

    def replace(exchange: Exchange) -> None:
        exchange.request.body.replace(lambda data: data + b"!")
        exchange.request.body.wrap(lambda chunk: chunk.lower())

    def check(exchange: Exchange) -> Verdict:
        return None if exchange.request.body.complete == b"ABC!" else REFUSAL

    bench = Bench().add("watch", watch).add("replace", replace).add("check", check)
    subject = exchange("POST", body=b"ABC")
    run = bench.run(subject)
    assert run.inward() is None
    body = subject.request.body
    assert len(body.wrappers) == 1
    assert body.through(body.complete or b"") + body.through(b"") == b"abc!"
    assert seen == [b"ABC", b""]


def test_a_wrapper_that_refuses_what_is_replaced_refuses_the_request() -> None:
    def guard(exchange: Exchange) -> None:
        def refuse(chunk: bytes) -> bytes:
            raise Refused(REFUSAL)

        exchange.request.body.wrap(refuse)

    bench = Bench().add("guard", guard)
    bench.add("replace", lambda exchange: exchange.request.body.replace(lambda data: data))
    run, _, verdict = through(bench, exchange("POST", body=b"x"))
    assert verdict is REFUSAL
    assert run.decider is not None
    assert run.decider.entry.name == "guard"
    refusals = [step.entry.name for step in run.steps if step.verdict == "refuse"]
    assert refusals == ["guard"]
    assert bench.seen == ["guard in", "replace in", "guard out"]
