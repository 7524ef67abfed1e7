"""What gateways tell each other of tokens, by a store that may read, lose, and bring back what it likes."""

import json
from dataclasses import fields, replace
from inspect import isawaitable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth import shared_cache
from filters.token_auth.access_rule import AccessRule, AccessRules
from filters.token_auth.entry import MAX_ENTRY
from filters.token_auth.option import SharedCacheOptions
from filters.token_auth.provider import Grant
from filters.token_auth.shared_cache import SKEW, Marks, SharedCache
from filters.token_auth.spelling import twin
from gateway.api import Fault, HttpError, Instant, Principal, Revocation, Store, StoreError
from gateway.api.testing import FrozenServices
from gateway.redirection import slot_of
from gateway.shared.memory import SharedMemory
from gateway.shared.shelf import SharedShelf
from tests.filters.token_auth.signing import sign
from tests.filters.token_auth.test_keystone import TOKEN as DESK_TOKEN
from tests.filters.token_auth.test_keystone import Desk
from tests.filters.token_auth.test_keystone_v2 import BY_PATH
from tests.filters.token_auth.test_keystone_v2 import Desk as V2Desk
from tests.support.deadline import until

KEY = "0123456789abcdef0123456789abcdef"
TTL = 300.0
TOKEN = "gAAAA-a-token"
WHO = Principal(
    user_id="u1",
    project_id="p1",
    user_domain_id="d1",
    roles=("member",),
    expires_at=1_700_003_600.0,
    audit_ids=("a1", "a2"),
)
DOWN = StoreError("connect")


class Gateway:
    """One of several gateways, each with a cache of its own and a clock that may be wrong; what is stored is common."""

    def __init__(
        self,
        other: "Gateway | None" = None,
        *,
        key: str = KEY,
        fast: float = 0.0,
        ttl: float = TTL,
        **options: Any,
    ) -> None:
        self.services = FrozenServices()
        self.services._now = Instant(self.services.now().wall + fast, 1000.0)
        if other is not None:
            self.services.stored = other.services.stored
        made = SharedCacheOptions.model_validate({"url": "redis://store.test", "key": key, **options})
        self._options, self._ttl = made, ttl
        self.begin()

    def begin(self) -> None:
        """Again, as a worker does that takes the place of another."""
        self._marks = Marks(self.services.shelf("owed marks"))
        self.reload()

    def reload(self) -> None:
        """With another client of the store, as after a reload with other files."""
        services, options = self.services, self._options
        store = services.store("shared tokens", options)
        self.cache = SharedCache(options, self._ttl, services, store, self._marks)

    def name(self, token: str = TOKEN) -> bytes:
        return self.cache.name("keystone", b"fingerprint", token)

    def keep(self, grant: Grant = Grant(WHO), token: str = TOKEN) -> None:
        self.cache.keep(self.name(token), grant, self.services.now().wall)

    async def find(self, token: str = TOKEN) -> Grant | None:
        return await self.cache.find(self.name(token), token)


def pass_time(seconds: float, *gateways: Gateway) -> None:
    for gateway in gateways:
        gateway.services.advance(seconds)


async def test_what_one_gateway_has_learned_another_knows_with_its_age() -> None:
    first = Gateway()
    second = Gateway(first)
    rules = AccessRules(
        [AccessRule("compute", "GET", "/v2.1/**"), AccessRule("image", "GET", "/x")], "compute", ["/compute"]
    )
    first.keep(Grant(WHO, '[{"type":"compute"}]', rules))
    pass_time(7, first, second)
    found = await second.find()
    assert found is not None
    assert (found.principal, found.catalog, found.age) == (WHO, '[{"type":"compute"}]', 7.0)
    assert found.rules is not None
    paths = ("/v2.1/servers", "/compute/v2.1/servers", "/x")
    assert [found.rules.allow("GET", path) for path in paths] == [True, True, False]
    assert await second.find("another") is None


_NAMES = st.text(max_size=8)
_VALUES: dict[str, Any] = {
    "roles": st.tuples(_NAMES, _NAMES),
    "groups": st.tuples(_NAMES),
    "authenticated_by": st.tuples(_NAMES),
    "audit_ids": st.tuples(_NAMES),
    "impersonator_roles": st.tuples(_NAMES),
    "assignments": st.tuples(st.tuples(_NAMES, st.none() | _NAMES)),
    "is_admin_project": st.none() | st.booleans(),
    "expires_at": st.none() | st.floats(1_700_000_001.0, 2e9),
    "provider": _NAMES,
}


@given(
    st.fixed_dictionaries(
        {field.name: _VALUES.get(field.name, st.none() | _NAMES) for field in fields(Principal)}
    )
)
async def test_every_caller_comes_out_as_it_went_in(told: dict[str, Any]) -> None:
    gateway = Gateway()
    gateway.keep(Grant(Principal(**told)))
    found = await gateway.find()
    assert found is not None
    assert found.principal == Principal(**told)


async def test_a_reader_of_the_store_learns_nothing() -> None:
    gateway = Gateway()
    gateway.keep(Grant(Principal(user_id="the-user-id", project_id="the-project-id", roles=("the-role",))))
    gateway.cache.revoke(Revocation(user_id="the-user-id"))
    await gateway.find()
    assert len(gateway.services.stored) == 2
    for name, (value, _) in gateway.services.stored.items():
        for secret in (TOKEN, "the-user-id", "the-project-id", "the-role", KEY):
            assert secret.encode() not in name
            assert secret.encode() not in value


@given(st.data())
async def test_a_writer_of_the_store_makes_nobody_believe_him(data: st.DataObject) -> None:
    gateway = Gateway()
    gateway.keep()
    ((name, (value, until)),) = gateway.services.stored.items()
    at = data.draw(st.integers(0, len(value) - 1))
    changed = bytearray(value)
    changed[at] ^= data.draw(st.integers(1, 255))
    told = data.draw(
        st.sampled_from([bytes(changed), value[:at], value + b"x", b"", data.draw(st.binary(max_size=99))])
    )
    gateway.services.stored[name] = (told, until)
    assert await gateway.find() is None


async def test_an_entry_is_good_for_its_own_name_only() -> None:
    gateway = Gateway()
    gateway.keep()
    gateway.services.stored[gateway.name("stolen")] = next(iter(gateway.services.stored.values()))
    assert await gateway.find("stolen") is None


@pytest.mark.parametrize("options", [{"key": KEY[::-1]}, {"prefix": "other"}])
async def test_who_has_another_key_or_prefix_shares_nothing(options: dict[str, Any]) -> None:
    first = Gateway()
    first.keep()
    assert await Gateway(first, **options).find() is None


async def test_who_trusts_for_another_time_shares_nothing() -> None:
    """A mark is left for as long as who leaves it trusts an entry; an entry that others trust longer would outlive it."""
    one = Gateway()
    one.keep()
    assert await Gateway(one, ttl=TTL + 1).find() is None


async def test_text_that_is_no_unicode_is_found_again_and_revoked() -> None:
    one = Gateway()
    other = Gateway(one)
    who = replace(WHO, user_id="u\ud800", project_id="\udfff")
    one.keep(Grant(who))
    found = await other.find()
    assert found is not None and found.principal == who
    one.cache.revoke(Revocation(user_id="u\ud800"))
    await until(lambda: not one.cache._marks.unmarked, "the mark is left")
    assert await other.find() is None


async def test_providers_and_questions_are_apart() -> None:
    cache = Gateway().cache
    names = {
        cache.name(*each)
        for each in (("a", b"b", "c"), ("a", b"bc", ""), ("ab", b"", "c"), ("a", b"b", "cc"))
    }
    assert len(names) == 4


async def test_an_entry_ends_with_its_time_whatever_the_store_does() -> None:
    gateway = Gateway()
    gateway.keep()
    kept = dict(gateway.services.stored)
    pass_time(TTL - 1, gateway)
    assert await gateway.find() is not None
    pass_time(1, gateway)
    gateway.services.stored.update({name: (value, 1e12) for name, (value, _) in kept.items()})
    assert await gateway.find() is None


async def test_an_entry_ends_with_its_token() -> None:
    gateway = Gateway()
    expires = gateway.services.now().wall + 60
    gateway.keep(Grant(replace(WHO, expires_at=expires)))
    ((name, (value, until)),) = gateway.services.stored.items()
    assert until == expires
    gateway.services.stored[name] = (value, 1e12)
    pass_time(60, gateway)
    assert await gateway.find() is None


async def test_a_token_that_is_over_is_not_kept_nor_one_with_too_much_to_it_or_a_token_within() -> None:
    gateway = Gateway()
    gateway.keep(Grant(replace(WHO, expires_at=gateway.services.now().wall)))
    gateway.keep(Grant(WHO, "x" * MAX_ENTRY))
    gateway.keep(Grant(WHO, token="got-by-a-password"))
    assert gateway.services.stored == {}


async def test_an_entry_from_the_future_is_not_believed() -> None:
    fast = Gateway(fast=SKEW + 1)
    fast.keep()
    assert await Gateway(fast).find() is None
    little = Gateway(fast=SKEW - 1)
    little.keep()
    found = await Gateway(little).find()
    assert found is not None
    assert found.age == 0.0


# ---- a store that fails


async def test_a_store_that_is_away_knows_nothing() -> None:
    gateway = Gateway()
    gateway.keep()
    gateway.services.store_down = DOWN
    assert await gateway.find() is None
    gateway.keep()
    gateway.services.store_down = None
    assert await gateway.find() is not None


@pytest.mark.parametrize("answer", [[], 3, None, [None], "OK", [1, 2, 3, 4]])
async def test_marks_that_cannot_be_read_are_no_leave(answer: Any) -> None:
    gateway = Gateway()
    gateway.keep()
    store: Any = gateway.cache._store
    done = store.command

    async def command(*parts: Any) -> Any:
        return answer if parts[0] == "MGET" else await done(*parts)

    store.command = command
    assert await gateway.find() is None


# ---- revocations


async def test_all_marks_are_in_one_slot_of_a_cluster() -> None:
    gateway = Gateway()
    for user in ("u1", "u2"):
        gateway.cache.revoke(Revocation(user_id=user))
    names = list(gateway.cache._marks.unmarked)
    assert len(names) == 2
    assert len({slot_of(("GET", name)) for name in names}) == 1


@pytest.mark.parametrize(
    ("revocation", "fits"),
    [
        (Revocation(user_id="u1"), True),
        (Revocation(user_id="u2"), False),
        (Revocation(project_id="p1"), True),
        (Revocation(project_id="p2"), False),
        (Revocation(token_key=FrozenServices().keyed_hash(TOKEN.encode())), True),
        (Revocation(token_key="0" * 32), False),
        (Revocation(audit_id="a1"), True),
        (Revocation(audit_id="a3"), False),
        (Revocation(domain_id="d1"), True),
        (Revocation(domain_id="d2"), False),
        (Revocation(user_id="u1", project_id="p2"), True),  # too much is forgotten rather than too little
        (Revocation(), True),
    ],
)
async def test_a_revocation_at_one_gateway_reaches_what_all_share(revocation: Revocation, fits: bool) -> None:
    first = Gateway()
    second = Gateway(first)
    first.keep()
    pass_time(10, first, second)
    assert first.cache.revoke(revocation) == 0
    assert (await first.find() is None) is fits
    assert (await second.find() is None) is fits


async def test_the_hash_of_a_signed_token_in_its_other_spelling_is_enough() -> None:
    gateway = Gateway()
    token = sign({"sub": "u1"})
    other = twin(token)
    assert other is not None
    gateway.keep(token=token)
    assert await gateway.find(token) is not None
    gateway.cache.revoke(Revocation(token_key=gateway.services.keyed_hash(other.encode())))
    assert await gateway.find(token) is None


async def test_a_project_of_several_that_a_token_is_for_is_enough() -> None:
    for project in ("p7", "p8"):
        gateway = Gateway()
        gateway.keep(
            Grant(replace(WHO, assignments=(("member", "p7"), ("admin", None)), default_project_id="p8"))
        )
        assert await gateway.find() is not None
        gateway.cache.revoke(Revocation(project_id=project))
        assert await gateway.find() is None


async def test_who_is_asked_about_anew_after_a_revocation_is_shared_again() -> None:
    gateway = Gateway()
    gateway.keep()
    gateway.cache.revoke(Revocation(user_id="u1"))
    pass_time(SKEW, gateway)
    gateway.keep()
    assert await gateway.find() is None  # the clock of the gateway that was told may be ahead
    pass_time(0.1, gateway)
    gateway.keep()
    assert await gateway.find() is not None


async def test_who_takes_marks_away_and_puts_entries_back_is_not_believed_where_the_revocation_was_told() -> (
    None
):
    first = Gateway()
    second = Gateway(first)
    first.keep()
    before = dict(first.services.stored)
    pass_time(1, first, second)
    first.cache.revoke(Revocation(user_id="u1"))
    assert await first.find() is None
    assert len(first.services.stored) == 2, "the mark has been left"
    for seconds in (0.0, TTL - 2):
        pass_time(seconds, first, second)
        first.services.stored.clear()
        first.services.stored.update(before)
        assert await first.find() is None
        assert await second.find() is not None  # nobody has told it: this is what the store could do
    first.keep()
    assert await first.find() is not None, "asked about anew"


async def test_marks_of_its_own_are_bounded_and_too_many_take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cache, "MOST", 3)
    gateway = Gateway()
    gateway.keep()
    for number in range(3):
        gateway.cache.revoke(Revocation(user_id=f"other{number}"))
    pass_time(1, gateway)
    assert await gateway.find() is not None
    gateway.cache.revoke(Revocation(user_id="other3"))
    await gateway.find()
    for name in list(gateway.services.stored):
        if b":token:" not in name:
            del gateway.services.stored[name]
    assert await gateway.find() is None
    assert len(gateway.cache._marks.own) == 1
    pass_time(TTL + 2 * SKEW, gateway)
    for number in range(9):
        gateway.cache.revoke(Revocation(user_id=f"later{number}"))
        pass_time(TTL + 2 * SKEW, gateway)
    gateway.keep()
    assert await gateway.find() is not None, "those that are over count for none"
    assert len(gateway.cache._marks.own) <= 3


async def test_another_client_of_the_store_leaves_the_marks_that_the_first_could_not() -> None:
    first = Gateway()
    second = Gateway(first)
    first.keep()
    first.services.store_down = DOWN
    first.cache.revoke(Revocation(user_id="u1"))
    assert await first.cache.owed() is not None
    former = first.cache
    first.reload()
    former.close()
    first.services.store_down = None
    assert await second.find() is not None
    assert await first.cache.owed() is None
    assert await second.find() is None
    for name in [name for name in first.services.stored if b":token:" not in name]:
        del first.services.stored[name]
    first.reload()
    assert await first.find() is None, "it knows its own without the store"


async def test_a_mark_outlives_all_that_it_takes() -> None:
    first = Gateway()
    second = Gateway(first, fast=SKEW)
    second.keep()  # as late as anything is that was asked for when the mark was left
    first.cache.revoke(Revocation(user_id="u1"))
    await first.find()
    entry, mark = (until for _, until in first.services.stored.values())
    assert mark > entry


async def test_a_mark_is_not_shortened_by_who_remembers_for_less() -> None:
    first = Gateway()
    second, brief = Gateway(first), Gateway(first, ttl=2.0)
    first.keep()
    for cache in (first.cache, brief.cache):
        cache.revoke(Revocation(user_id="u1"))
        assert await cache.owed() is None
    pass_time(TTL - 1, first, second, brief)
    assert await second.find() is None


async def test_nothing_is_taken_from_the_store_until_a_mark_could_be_left_there() -> None:
    first = Gateway()
    first.keep()
    first.services.store_down = DOWN
    first.cache.revoke(Revocation(user_id="nobody"))
    assert await first.find() is None
    assert ("revocation_not_shared", {"because": "connect"}) in first.services.warnings
    first.services.store_down = None
    assert await first.find() is not None
    assert json.dumps("nobody") not in str(first.services.stored)


async def test_a_mark_that_could_not_be_left_is_owed_until_it_is() -> None:
    first = Gateway()
    assert await first.cache.owed() is None
    first.services.store_down = DOWN
    first.cache.revoke(Revocation(user_id="u1"))
    assert [await first.cache.owed() for _ in range(2)] == ["the store of cache.shared: connect"] * 2
    first.services.store_down = None
    assert await first.cache.owed() is None
    assert len(first.services.stored) == 1


async def test_a_mark_that_a_worker_owed_that_has_ended_is_left_by_the_next_and_takes_everybody() -> None:
    first = Gateway()
    second = Gateway(first)
    first.keep()
    first.services.store_down = DOWN
    first.cache.revoke(Revocation(user_id="u1"))
    assert await first.cache.owed() is not None
    first.begin()
    assert await first.find() is None
    pass_time(1, first, second)
    first.services.store_down = None
    assert await second.find() is not None
    assert await first.find() is None
    assert await second.find() is None, "the mark has been left"
    # Once it has been left nothing is owed, to whoever begins after that.
    pass_time(SKEW + 1, first, second)
    first.keep()
    marks = len(first.services.stored)
    first.begin()
    assert await first.find() is not None
    assert len(first.services.stored) == marks


async def test_that_a_mark_is_owed_is_known_whatever_is_void_meanwhile() -> None:
    gateway = Gateway()
    gateway.keep()
    memory = SharedMemory.create(slots=64)
    shelf = SharedShelf(memory.claim("", "owed marks"))

    def begin() -> None:
        gateway._marks = Marks(shelf)
        gateway.reload()

    try:
        begin()
        gateway.services.store_down = DOWN
        gateway.cache.revoke(Revocation(user_id="u1"))
        assert await gateway.cache.owed() is not None
        memory.void(gateway.services.now().monotonic, attended=False)
        pass_time(1, gateway)
        begin()
        gateway.services.store_down = None
        assert await gateway.find() is None
        pass_time(2 * SKEW, gateway)
        gateway.keep()
        begin()
        assert await gateway.find() is not None, "nothing is owed any more"
    finally:
        memory.close()


async def test_one_client_that_reaches_the_store_leaves_what_another_cannot() -> None:
    gateway = Gateway()
    former, store = gateway.cache, gateway.services.stored
    gateway.reload()
    former._store = cast(Store, _Unreachable())
    gateway.cache.revoke(Revocation(user_id="u1"))
    assert [await each.owed() for each in (former, gateway.cache)] == [None, None]
    assert len(store) == 1
    former.revoke(Revocation(user_id="u2"))
    assert [await each.owed() for each in (former, gateway.cache)] == [None, None]
    gateway.begin()
    pass_time(2 * SKEW, gateway)
    gateway.keep()
    assert await gateway.find() is not None, "nothing is owed"


class _Unreachable:
    """A client whose certificates the store's are not signed by any more."""

    async def command(self, *parts: bytes | str | int) -> Any:
        raise DOWN

    def available(self) -> bool:
        return False

    def tell(self, *parts: bytes | str | int) -> None: ...


def test_its_key_is_long() -> None:
    with pytest.raises(ValueError, match="32 characters"):
        SharedCacheOptions.model_validate({"url": "redis://store.test", "key": "short-secret"})


# ---- as the filter uses it

SHARED: dict[str, Any] = {
    "cache": {"ttl": TTL, "jitter": 0, "shared": {"url": "redis://store.test", "key": KEY}}
}


class Desks:
    """Two gateways that share, before one Keystone."""

    def __init__(self) -> None:
        self.first, self.second = Desk(**SHARED), Desk(**SHARED)
        self.second.services.stored = self.first.services.stored

    def pass_time(self, seconds: float) -> None:
        self.first.pass_time(seconds)
        self.second.pass_time(seconds)


async def passes(desk: Desk) -> bool:
    verdict = desk.filter.on_request(desk.request())
    return (await verdict if isawaitable(verdict) else verdict) is None


async def test_a_token_is_asked_for_by_one_gateway_alone() -> None:
    desks = Desks()
    assert await passes(desks.first)
    assert await passes(desks.second)
    assert (len(desks.first.service.asked), desks.second.services.requests) == (1, [])


async def test_a_keystone_that_is_down_is_not_noticed_where_another_gateway_knows() -> None:
    desks = Desks()
    assert await passes(desks.first)
    desks.second.service.down = HttpError("connect")
    other = desks.second.request("another-token")
    for _ in range(9):  # until it is left alone
        verdict = desks.second.filter.on_request(other)
        assert isinstance(await verdict if isawaitable(verdict) else verdict, Fault)
    assert await passes(desks.second)


async def test_what_is_shared_is_trusted_no_longer_than_at_the_gateway_that_asked() -> None:
    desks = Desks()
    assert await passes(desks.first)
    desks.pass_time(TTL - 10)
    assert await passes(desks.second)
    desks.pass_time(10)
    del desks.second.service.tokens[DESK_TOKEN]  # revoked at Keystone
    assert not await passes(desks.second)


async def test_a_revocation_at_one_gateway_has_both_ask_again() -> None:
    desks = Desks()
    assert await passes(desks.first)
    desks.pass_time(1)
    del desks.first.service.tokens[DESK_TOKEN], desks.second.service.tokens[DESK_TOKEN]
    assert desks.first.services.revoke(Revocation(user_id="u1")) == 1
    assert not await passes(desks.first)
    assert not await passes(desks.second)


async def test_a_refusal_is_not_shared() -> None:
    desks = Desks()
    held = desks.first.service.tokens.pop(DESK_TOKEN)
    assert not await passes(desks.first)
    desks.first.service.tokens[DESK_TOKEN] = held
    assert await passes(desks.second)
    assert len(desks.first.services.stored) == 1


async def test_tenants_are_told_apart_in_what_was_shared() -> None:
    tenants: dict[str, Any] = {"v2": {"tenant": BY_PATH}, **SHARED}
    first, second = V2Desk(**tenants), V2Desk(**tenants)
    second.services.stored = first.services.stored
    for desk in (first, second):
        statuses = []
        for target in ("/v1/t1/x", "/v1/t2/x", "/v1/t9/x"):
            verdict = desk.filter.on_request(desk.request(target=target))
            verdict = await verdict if isawaitable(verdict) else verdict
            assert verdict is None or isinstance(verdict, Fault)
            statuses.append(verdict and verdict.status)
        assert statuses == [None, None, 403]
    assert first.asked
    assert not second.asked
