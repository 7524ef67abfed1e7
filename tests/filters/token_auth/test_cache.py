"""What is remembered of tokens."""

from math import inf

from filters.token_auth.cache import Accepted, Refused, TokenCache
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
        cache.refused[bytes([number])] = Refused(1.0, "token_invalid", None)
    assert (cache.accepted.maxsize, len(cache.refused)) == (2, 3)
    assert bytes([9]) in cache.refused
    assert bytes([0]) not in cache.refused


def test_a_revocation_takes_those_who_fit_and_begins_an_epoch() -> None:
    cache = TokenCache(b"k", 8, 8)
    note = Note("token_accepted", (), {})
    for key, user in ((b"1", "a"), (b"2", "b"), (b"3", "a")):
        cache.accepted[key] = Accepted(inf, inf, Principal(user_id=user), Fields(), note, True)
    epoch = cache.epoch
    assert cache.revoke(Revocation(user_id="a")) == 2
    assert list(cache.accepted) == [b"2"]
    assert cache.epoch != epoch


def test_what_a_provider_has_vouched_for_is_forgotten_and_the_others_word_stays() -> None:
    cache = TokenCache(b"k", 8, 8)
    for key, place in ((b"1", 0), (b"2", 1), (b"3", 0)):
        note = Note("token_accepted", ("providers", place), {})
        cache.accepted[key] = Accepted(inf, inf, Principal(user_id="a"), Fields(), note, True)
    epoch = cache.epoch
    cache.forget(0)
    assert list(cache.accepted) == [b"2"]
    assert cache.epoch != epoch
