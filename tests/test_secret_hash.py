"""By what key secrets are hashed, and how a revocation tells which one that was."""

from functools import partial

from gateway.api import Revocation, hashed_by
from gateway.config.load import loads
from gateway.config.model import Configuration
from gateway.registry import Registry
from gateway.secret_hash import hash_key, keyed_hash, of_key, secret_key
from gateway.shared.memory import SharedMemory


def configuration(log: str = "{}") -> Configuration:
    text = f"listen: 127.0.0.1:0\nupstreams: {{ u: {{ endpoints: ['http://127.0.0.1:1'] }} }}\nroutes: [ {{ name: r, path: /, upstream: u }} ]\nlog: {log}\n"
    return loads(text, "gateway.yaml", registry=Registry()).configuration


def test_the_key_is_the_configured_one_or_that_of_all_who_share_the_memory_or_new() -> None:
    given, none = configuration("{ hash_key: abc }"), configuration()
    one, other = SharedMemory.create(slots=64), SharedMemory.create(slots=64)
    try:
        assert secret_key(given) == hash_key(given, one) == b"abc"
        assert hash_key(none, one) == hash_key(none, one) != hash_key(none, other)
        assert secret_key(none) != secret_key(none)
    finally:
        one.close()
        other.close()


def test_a_revocation_says_by_what_key_its_token_is_named_and_shows_nothing_of_it() -> None:
    told = of_key(Revocation(keyed_hash(b"key", b"token"), user_id="u"), b"key")
    assert told.hashed_by == hashed_by(partial(keyed_hash, b"key"))
    assert told.hashed_by != of_key(told, b"another").hashed_by
    assert told.known_by(told.hashed_by) is told
    assert told.known_by("another") == Revocation(user_id="u", hashed_by=told.hashed_by)
