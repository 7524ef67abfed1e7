"""What one worker has learned of a token the others know: fresh, stale, and not after it was revoked."""

from inspect import isawaitable
from typing import Any

import pytest

import filters.token_auth as token_auth
from filters.token_auth import TokenAuth
from filters.token_auth.common_cache import CommonCache
from filters.token_auth.entry import MAX_ENTRY
from filters.token_auth.provider import Grant
from filters.token_auth.spelling import twin
from gateway.api import Exchange, Fault, HttpError, Principal, Revocation
from gateway.api.testing import FrozenServices, build, exchange, judge
from tests.filters.token_auth.identity_service import NOW, document
from tests.filters.token_auth.signing import sign
from tests.filters.token_auth.test_basic import Desk as BasicDesk
from tests.filters.token_auth.test_introspection import TOKEN as ACTIVE_TOKEN
from tests.filters.token_auth.test_introspection import Desk as IntrospectionDesk
from tests.filters.token_auth.test_keystone import MEMBER, SERVICE, TOKEN, VOUCHED, Desk, Slow, fields
from tests.filters.token_auth.test_keystone_v2 import BY_PATH
from tests.filters.token_auth.test_keystone_v2 import Desk as V2Desk
from tests.support.deadline import until

TTL = 300.0
STALE = 600.0
CACHE: dict[str, Any] = {"ttl": TTL, "jitter": 0, "stale_if_error": STALE}
WHO = Principal(user_id="u1", project_id="p1", audit_ids=("a1",))


class Worker:
    """Another worker of the gateway that a desk is one of: with a filter and a clock of its own, and what they share."""

    def __init__(self, first: FrozenServices, filter: TokenAuth, seed: int = 0) -> None:
        self.services = FrozenServices(answer=first.answer)
        self.services._random.seed(seed)
        self.services._now = first.now()
        self.services.shelves = first.shelves
        self.filter = TokenAuth(filter.config, self.services)

    def judge(self, made: Exchange) -> str | None:
        """The status and the reason of a refusal, None where the request passes."""
        return self._told(judge(self.filter, made))

    async def judge_later(self, made: Exchange) -> str | None:
        """As `judge`, where an event loop runs."""
        verdict = self.filter.on_request(made)
        return self._told(await verdict if isawaitable(verdict) else verdict)

    def _told(self, verdict: object) -> str | None:
        assert verdict is None or isinstance(verdict, Fault)
        return None if verdict is None else f"{verdict.status} {verdict.reason}"


class Workers:
    """Two workers, before one Keystone."""

    def __init__(self, tokens: dict[str, Any] | None = None, **options: Any) -> None:
        self.desk = Desk(tokens, **{"cache": CACHE, **options})
        self.first, self.second = self.another(), self.another(1)

    def another(self, seed: int = 2) -> Worker:
        return Worker(self.desk.services, self.desk.filter, seed)

    @property
    def asked(self) -> int:
        return len(self.desk.service.asked)

    def down(self) -> None:
        self.desk.service.down = HttpError("connect")

    def pass_time(self, seconds: float) -> None:
        self.desk.pass_time(seconds)
        for worker in (self.first, self.second):
            worker.services.advance(seconds)


def test_a_token_is_asked_about_by_one_worker_alone() -> None:
    workers = Workers()
    for worker, cached in ((workers.first, False), (workers.second, True), (workers.second, True)):
        made = workers.desk.request()
        assert worker.judge(made) is None
        (note,) = made.notes
        assert note.facts == {"provider": "keystone", "cached": cached}
        assert made.principal is not None and made.principal.token_key is not None
        assert fields(made)["X-Roles"] == "reader,member"
    assert workers.asked == 1


def test_without_it_each_worker_asks_for_itself() -> None:
    workers = Workers(cache={**CACHE, "common": False})
    assert [worker.judge(workers.desk.request()) for worker in (workers.first, workers.second)] == [None] * 2
    assert workers.asked == 2
    assert workers.desk.services.shelves == {}


def test_where_nobody_is_asked_nothing_is_in_common() -> None:
    services = FrozenServices()
    build(TokenAuth, {"providers": [{"static": {"tokens": [{"token": "t", "user_id": "u1"}]}}]}, services)
    assert services.shelves == {}


def test_while_keystone_is_down_every_worker_serves_whom_one_has_served() -> None:
    workers = Workers()
    assert workers.first.judge(workers.desk.request()) is None
    workers.down()
    assert workers.second.judge(workers.desk.request()) is None
    assert workers.second.judge(workers.desk.request("another")) == "503 provider_unavailable"


def test_what_is_past_its_time_stands_in_at_every_worker_while_keystone_is_down() -> None:
    workers = Workers()
    assert workers.first.judge(workers.desk.request()) is None
    workers.down()
    workers.pass_time(TTL + 1)
    made = workers.desk.request()
    assert workers.second.judge(made) is None
    (note,) = made.notes
    assert note.facts == {"provider": "keystone", "cached": True, "stale": True}
    # A worker that has it from another has it no longer than that one.
    workers.pass_time(STALE - 2)
    assert workers.second.judge(workers.desk.request()) is None
    workers.pass_time(1)
    for worker in (workers.first, workers.second, workers.another()):
        assert worker.judge(workers.desk.request()) == "503 provider_unavailable"


def test_it_is_trusted_no_longer_than_by_the_worker_that_has_asked() -> None:
    workers = Workers()
    assert workers.first.judge(workers.desk.request()) is None
    workers.pass_time(TTL - 10)
    assert workers.second.judge(workers.desk.request()) is None
    del workers.desk.service.tokens[TOKEN]
    assert workers.second.judge(workers.desk.request()) is None
    workers.pass_time(10)
    assert workers.second.judge(workers.desk.request()) == "401 token_invalid"


def test_who_has_asked_again_has_done_so_for_all() -> None:
    workers = Workers()
    for worker in (workers.first, workers.second):
        assert worker.judge(workers.desk.request()) is None
    workers.pass_time(TTL)
    for worker in (workers.first, workers.second):
        assert worker.judge(workers.desk.request()) is None
    assert workers.asked == 2


def test_it_ends_with_its_token() -> None:
    workers = Workers({TOKEN: document("u1", "member", expires=NOW + 60)})
    assert workers.first.judge(workers.desk.request()) is None
    workers.pass_time(60)
    workers.down()
    assert workers.second.judge(workers.desk.request()) == "503 provider_unavailable"


def test_with_jitter_workers_do_not_ask_together_and_none_takes_its_own_word_for_another() -> None:
    workers = Workers({f"t{number}": MEMBER for number in range(40)}, cache={**CACHE, "jitter": 50})
    tokens = list(workers.desk.service.tokens)
    ends = []
    for worker in (workers.first, workers.second):
        for token in tokens:
            assert worker.judge(workers.desk.request(token)) is None
        cache = worker.filter._cache.accepted
        ends.append({token: cache.get(worker.filter._cache.digest(token.encode())) for token in tokens})
    first, second = ([accepted.until - 1000 for accepted in each.values() if accepted] for each in ends)
    assert len(first) == len(second) == 40
    assert first != second
    assert TTL / 2 <= min(*first, *second) < TTL * 0.6 and TTL * 0.9 < max(*first, *second) <= TTL
    workers.pass_time(min(first) + 0.01)
    earliest = tokens[first.index(min(first))]
    del workers.desk.service.tokens[earliest]
    # What it has told the others itself says nothing new.
    assert workers.first.judge(workers.desk.request(earliest)) == "401 token_invalid"


def test_who_is_refused_now_is_known_to_nobody() -> None:
    workers = Workers()
    assert workers.first.judge(workers.desk.request()) is None
    del workers.desk.service.tokens[TOKEN]
    workers.pass_time(TTL)
    assert workers.first.judge(workers.desk.request()) == "401 token_invalid"
    workers.down()
    # It might have stood in.
    assert workers.second.judge(workers.desk.request()) == "503 provider_unavailable"


def test_a_refusal_is_told_to_nobody() -> None:
    workers = Workers({})
    for number in range(3):
        assert workers.first.judge(workers.desk.request(f"t{number}")) == "401 token_invalid"
    (shelf,) = workers.desk.services.shelves.values()
    assert shelf.values == {}


@pytest.mark.parametrize(
    ("revocation", "fits"),
    [
        (Revocation(user_id="u1"), True),
        (Revocation(project_id="p1"), True),
        (Revocation(audit_id="oQcF"), True),
        (Revocation(domain_id="default"), True),
        (Revocation(), True),
        (Revocation(token_key=FrozenServices().keyed_hash(TOKEN.encode())), True),
        (Revocation(user_id="u2"), False),
        (Revocation(token_key="0" * 32), False),
    ],
)
def test_a_revocation_that_one_worker_has_heard_of_takes_it_from_the_others(
    revocation: Revocation, fits: bool
) -> None:
    workers = Workers()
    assert workers.first.judge(workers.desk.request()) is None
    workers.pass_time(1)
    workers.first.services.revoke(revocation)
    workers.down()
    status = "503 provider_unavailable" if fits else None
    assert workers.second.judge(workers.desk.request()) == status
    assert workers.first.judge(workers.desk.request()) == status


@pytest.mark.parametrize("by", ["the first spelling", "the second spelling", "audit id"])
def test_a_revocation_takes_a_signed_token_from_the_others_in_both_its_spellings(by: str) -> None:
    token = sign({"sub": "u1"})
    other = twin(token)
    assert other is not None
    tokens = {each: document("u1", "member", "service") for each in (token, other)}
    workers = Workers({**tokens, TOKEN: document("u2", "member", audit_ids=["another"])}, service_tokens={})
    vouched = [(TOKEN, ("X-Service-Token", each)) for each in tokens]
    requests: list[tuple[Any, ...]] = [(token,), (other,), *vouched, (TOKEN,)]
    for request in requests:
        assert workers.first.judge(workers.desk.request(*request)) is None
    workers.pass_time(1)
    revoked = {
        "the first spelling": Revocation(token_key=workers.desk.services.keyed_hash(token.encode())),
        "the second spelling": Revocation(token_key=workers.desk.services.keyed_hash(other.encode())),
        "audit id": Revocation(audit_id="oQcF"),
    }[by]
    workers.first.services.revoke(revoked)
    workers.down()
    told = [workers.second.judge(workers.desk.request(*request)) for request in requests]
    assert told == ["503 provider_unavailable"] * 4 + [None]


def test_what_was_asked_before_a_revocation_is_not_known_after_it() -> None:
    workers = Workers()
    first, second = (common(worker) for worker in (workers.first, workers.second))
    now = workers.first.services.now().monotonic
    second.revoke(Revocation(user_id="u1"))
    # The question was out when the other worker heard of it; this one has yet to hear.
    first.keep(b"name", 0, Grant(WHO, asked=now), "key")
    assert second.find(b"name", 0.0) is None
    first.keep(b"name", 0, Grant(WHO, asked=now + 0.1), "key")
    assert second.find(b"name", 0.0) == (0, Grant(WHO))


def test_who_is_asked_about_anew_after_a_revocation_is_known_again() -> None:
    workers = Workers()
    assert workers.first.judge(workers.desk.request()) is None
    for worker in (workers.first, workers.second):
        worker.services.revoke(Revocation(user_id="u1"))
    workers.pass_time(0.1)
    assert workers.first.judge(workers.desk.request()) is None
    assert workers.second.judge(workers.desk.request()) is None
    assert workers.asked == 2


class Late(Slow):
    """A worker that has served a token by what is past its time, while its question is out, and another that is to hear of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(token_auth, "_PATIENCE", 0.01)
        super().__init__()

    async def begin(self) -> None:
        assert await self.status() == (None, None)
        self.desk.pass_time(TTL + 1)
        self.gate.clear()
        assert await self.status() == (None, True)
        self.desk.pass_time(3)

    async def end(self) -> Worker:
        """The other worker, once the answer has come; it cannot ask itself."""
        self.desk.pass_time(4)
        other = Worker(self.desk.services, self.desk.filter, 1)
        self.gate.set()
        await until(lambda: not self.desk.filter._pending, "the answer has come")
        other.services.answer = lambda request: HttpError("connect")
        return other


async def test_an_answer_that_nobody_has_waited_for_is_known_to_all_from_when_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = Late(monkeypatch)
    await late.begin()
    other = await late.end()
    for seconds, facts in ((TTL - 8, {}), (1, {"stale": True})):
        other.services.advance(seconds)
        made = exchange_of(other)
        assert await other.judge_later(made) is None
        assert made.notes[0].facts == {"provider": "keystone", "cached": True, **facts}


async def test_it_is_known_to_nobody_where_its_caller_was_revoked_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = Late(monkeypatch)
    await late.begin()
    # One worker has heard of it, and the one whose question is out has yet to hear.
    third = Worker(late.desk.services, late.desk.filter, 2)
    third.services.revoke(Revocation(user_id="u1"))
    other = await late.end()
    assert await other.judge_later(exchange_of(other)) == "503 provider_unavailable"


async def test_a_late_no_takes_what_the_others_would_have_standing_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = Late(monkeypatch)
    await late.begin()
    before = Worker(late.desk.services, late.desk.filter, 2)
    before.services.answer = lambda request: HttpError("connect")
    assert await before.judge_later(exchange_of(before)) is None
    del late.desk.service.tokens[TOKEN]
    other = await late.end()
    assert await other.judge_later(exchange_of(other)) == "503 provider_unavailable"


def exchange_of(worker: Worker) -> Exchange:
    return exchange(headers=[("X-Auth-Token", TOKEN)], clock=worker.services.now())


@pytest.mark.parametrize("reason", ["timeout", "connect"])
def test_what_is_known_already_says_nothing_of_how_the_service_is(
    reason: str,
) -> None:
    workers = Workers(keystone={"breaker": {"failures": 2}})
    assert workers.first.judge(workers.desk.request()) is None
    workers.desk.service.down = HttpError(reason)
    (provider,) = workers.second.filter._providers
    for token in ("a", "b"):
        assert workers.second.judge(workers.desk.request(token)) == "503 provider_unavailable"
    asked = len(workers.second.services.requests)
    assert provider.left_alone
    assert workers.second.judge(workers.desk.request()) is None
    assert provider.left_alone
    assert workers.second.judge(workers.desk.request("c")) == "503 provider_unavailable"
    assert len(workers.second.services.requests) == asked


def common(worker: Worker) -> CommonCache:
    held = worker.filter._common
    assert held is not None
    return held


def test_only_what_a_service_has_said_is_told() -> None:
    cache = common(Workers().first)
    cache.keep(b"name", 0, Grant(WHO), "key")
    assert cache.find(b"name", 0.0) is None


def test_one_with_too_much_to_it_is_not_told() -> None:
    cache = common(Workers().first)
    for length, kept in ((MAX_ENTRY - 2000, True), (MAX_ENTRY, False)):
        cache.keep(b"%d" % length, 0, Grant(WHO, "x" * length, asked=1000.0), "key")
        assert (cache.find(b"%d" % length, 0.0) is not None) == kept


@pytest.mark.parametrize("value", [b"[", b"{}", b"[0]", b'[0,null,{"principal":{"other":1},"catalog":null}]'])
def test_one_of_another_version_is_not_known(value: bytes) -> None:
    worker = Workers().first
    (shelf,) = worker.services.shelves.values()
    shelf.put(b"name", value, tags=(), made=1000.0, until=1100.0, now=1000.0)
    assert common(worker).find(b"name", 0.0) is None


def test_memory_that_is_not_to_be_had_is_not_noticed() -> None:
    workers = Workers()
    (shelf,) = workers.desk.services.shelves.values()
    shelf.busy = True
    for worker in (workers.first, workers.second):
        assert worker.judge(workers.desk.request()) is None
    assert workers.asked == 2


def test_a_warm_token_is_not_looked_for() -> None:
    workers = Workers()
    (shelf,) = workers.desk.services.shelves.values()
    assert workers.first.judge(workers.desk.request()) is None
    looked: list[bytes] = []
    shelf.get = lambda key, *rest: looked.append(key)  # type: ignore[method-assign]
    for _ in range(3):
        assert workers.first.judge(workers.desk.request()) is None
    assert looked == []
    assert workers.second.judge(workers.desk.request()) is None
    assert len(looked) == 1


# ---- other providers, and what else than a token there is


def test_services_and_users_beside_them_are_known_apart_from_others() -> None:
    workers = Workers(VOUCHED, service_tokens={"roles": ["service"]})
    beside = ("X-Service-Token", SERVICE)
    assert workers.first.judge(workers.desk.request("old", beside)) is None
    workers.down()
    made = workers.desk.request("old", beside)
    assert workers.second.judge(made) is None
    assert fields(made)["X-Service-User-Id"] == "nova"
    # It has expired: without the service it is nobody's.
    assert workers.second.judge(workers.desk.request("old")) == "503 provider_unavailable"
    assert workers.second.judge(workers.desk.request(SERVICE)) == "503 provider_unavailable"
    # And a user is no service.
    assert workers.second.judge(workers.desk.request("old", ("X-Service-Token", "plain"))) is not None


def test_tenants_are_told_apart_in_what_is_known() -> None:
    desk = V2Desk({"tenant": BY_PATH})
    other = Worker(desk.services, desk.filter)
    assert desk.status(desk.request(target="/v1/t1/x")) is None
    asked = len(desk.asked)
    told = [other.judge(desk.request(target=f"/v1/{tenant}/x")) for tenant in ("t1", "t2", "t9")]
    assert told == [None, None, "403 tenant_forbidden"]
    assert len(desk.asked) == asked


def test_a_password_is_asked_about_once_and_its_token_goes_on() -> None:
    desk = BasicDesk(cache=CACHE)
    other = Worker(desk.services, desk.filter)
    for verdict, made in ((desk.judge, desk.request()), (other.judge, desk.request())):
        assert verdict(made) is None
        assert made.request.headers.all("X-Auth-Token") == ["issued-1"]
        assert not made.request.headers.has("Authorization")
    assert len(desk.keystone.asked) == 1
    other.services.revoke(Revocation(user_id="u1"))
    desk.keystone.instead = HttpError("connect")
    assert Worker(desk.services, desk.filter).judge(desk.request()) == "503 provider_unavailable"


def test_what_an_authorization_server_says_is_known_too() -> None:
    desk = IntrospectionDesk(cache=CACHE)
    other = Worker(desk.services, desk.filter)
    assert desk.judge() is None
    assert other.judge(desk.request(ACTIVE_TOKEN)) is None
    assert desk.server.asked == [ACTIVE_TOKEN]
