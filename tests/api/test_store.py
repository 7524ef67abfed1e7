"""The options of a store, and the store of a configuration that is only checked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.api import Secret, StoreError, StoreOptions
from gateway.api.store import NoStore, split


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({"url": "redis://127.0.0.1"}, 0),
        ({"url": "redis://[::1]:6380/7"}, 7),
        ({"url": "rediss://store.test/", "database": 3}, 3),
        ({"url": "unix:///run/redis/redis.sock", "database": 2}, 2),
    ],
)
def test_the_database_stands_in_the_url_or_beside_it(options: dict[str, Any], number: int) -> None:
    assert StoreOptions.model_validate(options).number == number


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "http://127.0.0.1"}, "expected redis://"),
        ({"url": "redis://"}, "expected redis://"),
        ({"url": "redis://a:0"}, "expected redis://"),
        ({"url": "redis://a:x"}, "expected redis://"),
        ({"url": "redis://a/b"}, "expected redis://"),
        ({"url": "redis://a?x=1"}, "expected redis://"),
        ({"url": "unix://host/path"}, "expected redis://"),
        ({"url": "unix:///"}, "expected redis://"),
        ({"url": "redis://user:hunter2@a"}, "holds no user or password"),
        ({"url": "redis://a/1", "database": 2}, "in the URL already"),
        ({"url": "redis://a", "username": "weir"}, "needs a password"),
        ({"url": "redis://a", "tls": {}}, "tls is for rediss://"),
        ({"url": "redis://a", "timeout": 0}, "greater than 0"),
    ],
)
def test_what_is_wrong_is_said(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        StoreOptions.model_validate(options)
    assert complaint in caught.value.errors(include_input=False)[0]["msg"]


@given(st.text())
def test_any_text_is_a_url_or_is_refused_in_words_of_ours(text: str) -> None:
    found = ""
    try:
        scheme = split(text).scheme
    except ValueError as error:
        scheme, found = "", str(error)
    assert scheme in ("redis", "rediss", "unix") or found.startswith(
        ("expected redis://", "the URL of a store")
    )


def test_its_password_does_not_print() -> None:
    assert "hunter2" not in repr(StoreOptions(url="redis://a", password=Secret("hunter2")))


async def test_nothing_is_there_where_a_configuration_is_checked() -> None:
    store = NoStore()
    store.tell("SET", "a", "b")
    with pytest.raises(StoreError, match="closed"):
        await store.command("GET", "a")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"url": "redis://store.test"}, {"url": "redis://STORE.test.:6379/"}),
        ({"url": "redis://store.test/3"}, {"url": "redis://store.test:6379", "database": 3}),
        ({"url": "redis://store.test/0"}, {"url": "redis://store.test", "timeout": "1s"}),
        ({"url": "redis://[::1]"}, {"url": "redis://[0:0:0:0:0:0:0:1]"}),
        ({"url": "unix:///run/redis.sock"}, {"url": "unix:///run//./redis.sock"}),
    ],
)
def test_a_store_is_the_same_however_it_is_spelled(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert StoreOptions.model_validate(one).place == StoreOptions.model_validate(other).place


def test_another_host_port_database_or_path_is_another_store() -> None:
    urls = ["redis://a", "redis://b", "redis://a:6380", "redis://a/1", "unix:///a", "unix:///b"]
    assert len({StoreOptions(url=url).place for url in urls}) == len(urls)
