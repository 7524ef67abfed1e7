"""What is remembered of tokens."""

from math import inf

from filters.token_auth.access_rule import AccessRule, AccessRules
from filters.token_auth.cache import SHARE, TENANTS, Accepted, Recent, Refused, TenantScope, TokenCache
from filters.token_auth.option import TenantOptions
from filters.token_auth.tenant import TenantRules
from gateway.api import Note, Principal, Revocation
from gateway.http.fields import Fields


def test_a_digest_depends_on_token_and_key_and_shows_neither() -> None:
    first, second = TokenCache(b"a" * 32, 1, 1), TokenCache(b"b" * 32, 1, 1)
    assert first.digest(b"token") == first.digest(b"token")
    assert len({first.digest(b"token"), first.digest(b"tokeN"), second.digest(b"token")}) == 3
    assert b"token" not in first.digest(b"token")


def test_both_sides_are_bounded_apart() -> None:
    cache = TokenCache(b"k", 2, 3)
    for number in range(10):
        cache.refused.put(bytes([number]), Refused(1.0, "token_invalid", None))
    assert (cache.accepted.maxsize, len(cache.refused)) == (2, 3)
    assert bytes([9]) in cache.refused
    assert bytes([0]) not in cache.refused


def accepted(*values: bytes, rules: AccessRules | TenantScope | None = None) -> Accepted:
    fields = Fields([(b"X-Catalog", value) for value in values])
    note = Note("token_accepted", ("providers", 0), {})
    return Accepted(inf, inf, Principal(user_id="u"), fields, note, True, rules)


def test_a_token_with_much_to_it_counts_as_several() -> None:
    cache = TokenCache(b"k", 10, 1)
    for number in range(20):
        cache.accepted.put(bytes([number]), accepted(b"x"))
    assert len(cache.accepted) == 10
    cache.accepted.put(b"large", accepted(b"x" * 4 * SHARE))
    assert list(cache.accepted) == [*(bytes([number]) for number in range(15, 20)), b"large"]
    cache.accepted.put(b"huge", accepted(*[b"x" * SHARE] * 1000))  # for a moment it is the only one
    assert list(cache.accepted) == [b"huge"]
    cache.accepted.put(b"1", accepted())
    assert list(cache.accepted) == [b"1"]


def test_those_go_first_that_were_not_asked_for() -> None:
    kept: Recent[int] = Recent(3, lambda value: value)
    for key in (b"a", b"b", b"c"):
        kept.put(key, 1)
    assert kept.get(b"a") == 1
    kept.put(b"d", 1)
    assert (list(kept), kept.get(b"b")) == ([b"c", b"a", b"d"], None)
    kept.put(b"c", 2)  # in place of what was there before
    assert kept.items() == [(b"d", 1), (b"c", 2)]
    kept.drop(b"c")
    kept.drop(b"c")
    kept.put(b"e", 2)
    assert kept.items() == [(b"d", 1), (b"e", 2)]
    kept.clear()
    kept.put(b"f", 9)
    assert (len(kept), b"f" in kept) == (1, True)


def test_where_there_is_no_room_at_all_nothing_is_kept() -> None:
    kept: Recent[int] = Recent(0)
    kept.put(b"a", 1)
    assert kept.get(b"a") is None


def test_rules_and_tenants_count_too() -> None:
    plain = accepted(b"x" * 1000).size
    rules = AccessRules([AccessRule("compute", "GET", "/" * 1000)] * 9, "compute")
    assert accepted(b"x" * 1000, rules=rules).size >= plain + 9 * 1000
    scope = TenantScope(TenantRules(TenantOptions(param="project_id")), None)
    assert accepted(b"x" * 1000, rules=scope).size >= plain * TENANTS


def test_no_more_tenants_of_a_token_are_remembered_than_it_counts_for() -> None:
    scope = TenantScope(TenantRules(TenantOptions(param="project_id")), None)
    for number in range(TENANTS + 2):
        scope.remember(str(number), (Principal(), Fields()))
    assert list(scope.known) == [str(number) for number in range(2, TENANTS + 2)]


def test_a_revocation_takes_those_who_fit_and_begins_an_epoch() -> None:
    cache = TokenCache(b"k", 8, 8)
    note = Note("token_accepted", (), {})
    for key, user in ((b"1", "a"), (b"2", "b"), (b"3", "a")):
        cache.accepted.put(key, Accepted(inf, inf, Principal(user_id=user), Fields(), note, True))
    epoch = cache.epoch
    assert cache.revoke(Revocation(user_id="a")) == 2
    assert list(cache.accepted) == [b"2"]
    assert cache.epoch != epoch


def test_what_a_provider_has_vouched_for_is_forgotten_and_the_others_word_stays() -> None:
    cache = TokenCache(b"k", 8, 8)
    for key, place in ((b"1", 0), (b"2", 1), (b"3", 0)):
        note = Note("token_accepted", ("providers", place), {})
        cache.accepted.put(key, Accepted(inf, inf, Principal(user_id="a"), Fields(), note, True))
    epoch = cache.epoch
    cache.forget(0)
    assert list(cache.accepted) == [b"2"]
    assert cache.epoch != epoch


def test_a_token_named_by_a_hash_of_another_key_may_be_anybodys_who_fits_else() -> None:
    for revocation, left in (
        (Revocation("0" * 32, hashed_by="own"), [b"1", b"2"]),
        (Revocation("0" * 32), [b"1", b"2"]),
        (Revocation("0" * 32, hashed_by="another"), []),
        (Revocation("0" * 32, user_id="u", hashed_by="another"), []),
        (Revocation("0" * 32, user_id="v", hashed_by="another"), [b"1", b"2"]),
    ):
        cache = TokenCache(b"k", 10, 1, hashed_by="own")
        cache.accepted.put(b"1", accepted())
        cache.accepted.put(b"2", accepted())
        assert (cache.revoke(revocation), list(cache.accepted)) == (2 - len(left), left)
