"""The provider `api_key`: keys in a field of their own."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from filters.token_auth import TokenAuth
from gateway.api import Exchange, Fault, Instant, OptionError
from gateway.api.testing import FrozenServices, build, exchange, judge

NOW = 1_700_000_000
KEY, OLD, TOKEN = "key-of-backup", "key-of-old", "anne-token"
STATIC = {"static": {"tokens": [{"token": TOKEN, "user_id": "anne"}]}}


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


LIST = f"""
- key_sha256: {digest(KEY)}
  user: backup
  user_id: u1
  project_id: p1
  roles: [reader]
- {{ key_sha256: {digest(OLD)}, user: old, expires: {NOW} }}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "keys.yaml").write_text(LIST)
    return tmp_path


def guard(
    directory: Path,
    *others: dict[str, Any],
    first: bool = True,
    key: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> TokenAuth:
    mine = {"api_key": {"file": "keys.yaml", **key}}
    providers = [mine, *others] if first else [*others, mine]
    return build(
        TokenAuth, {"providers": providers, **options}, FrozenServices(wall=NOW, directory=directory)
    )


def asked(*headers: tuple[str, str]) -> Exchange:
    return exchange(headers=headers, clock=Instant(NOW, 1000.0))


def reason(filter: TokenAuth, made: Exchange) -> str | None:
    verdict = judge(filter, made)
    assert verdict is None or isinstance(verdict, Fault)
    return None if verdict is None else verdict.reason


def test_a_key_is_somebody_and_stays_here(directory: Path) -> None:
    filter = guard(directory)
    for cached in (False, True):
        made = asked(("X-Api-Key", KEY), ("Accept", "*/*"))
        assert judge(filter, made) is None
        assert made.principal is not None
        assert (made.principal.user_id, made.principal.roles) == ("u1", ("reader",))
        assert made.principal.token_key == FrozenServices().keyed_hash(f"api_key {KEY}".encode())
        assert not made.request.headers.has("X-Api-Key")
        assert made.request.headers.get("X-Project-Id") == "p1"
        (note,) = made.notes
        assert (note.reason, note.facts["cached"]) == ("key_accepted", cached)


def test_a_key_may_go_on_where_it_is_asked_for(directory: Path) -> None:
    filter = guard(directory, STATIC, key={"forward": True, "header": "X-Machine"})
    made = asked(("x-machine", KEY), ("x_machine", "other"))
    assert judge(filter, made) is None
    assert [value for name, value in made.request.headers if name.lower() == b"x-machine"] == [KEY.encode()]
    assert not made.request.headers.has("x_machine")
    for headers in ((("X-Machine", "unknown"), ("X-Auth-Token", TOKEN)), (("X-Auth-Token", TOKEN),)):
        made = asked(*headers)
        assert judge(filter, made) is None
        assert made.principal is not None and made.principal.user_id == "anne"
        assert not made.request.headers.has("X-Machine"), "nobody knows it"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), "token_missing"),
        ((("X-Api-Key", ""),), "token_missing"),
        ((("X-Api-Key", "unknown"),), "key_invalid"),
        ((("X-Api-Key", digest(KEY)),), "key_invalid"),
        ((("X-Api-Key", OLD),), "key_expired"),
        ((("X-Api-Key", KEY), ("X-Api-Key", KEY)), "token_ambiguous"),
        ((("X_Api_Key", KEY),), "token_missing"),
        ((("X-Auth-Token", KEY),), "token_invalid"),
        ((("X-Api-Key", "\xe9"),), "key_invalid"),
        ((("X-Api-Key", "k" * 100_000),), "key_invalid"),
    ],
)
def test_whoever_has_no_key_is_refused(
    directory: Path, headers: tuple[tuple[str, str], ...], expected: str
) -> None:
    filter = guard(directory)
    for _ in range(2):
        made = asked(*headers)
        assert reason(filter, made) == expected
        assert made.principal is None


def test_a_key_does_not_pass_for_a_token_nor_a_token_for_a_key(directory: Path) -> None:
    filter = guard(directory, STATIC)
    assert reason(filter, asked(("X-Auth-Token", KEY))) == "token_invalid"
    assert reason(filter, asked(("X-Api-Key", TOKEN))) == "key_invalid"


@pytest.mark.parametrize(("first", "who"), [(True, "u1"), (False, "anne")])
def test_providers_are_asked_in_order_and_what_did_not_decide_stays_here(
    directory: Path, first: bool, who: str
) -> None:
    filter = guard(directory, STATIC, first=first)
    for _ in range(2):
        made = asked(("X-Api-Key", KEY), ("X-Auth-Token", TOKEN))
        assert judge(filter, made) is None
        assert made.principal is not None and made.principal.user_id == who
        assert made.request.headers.has("X-Auth-Token") is (who == "anne")
        assert not made.request.headers.has("X-Api-Key")


def test_without_a_key_the_token_is_judged_as_ever(directory: Path) -> None:
    filter = guard(directory, STATIC)
    made = asked(("X-Auth-Token", TOKEN))
    assert judge(filter, made) is None
    assert len(filter._cache.accepted) == 1 and len(filter._certified.accepted) == 0


def test_a_key_is_a_secret_and_its_field_the_filter_s(directory: Path) -> None:
    filter = guard(directory)
    assert b"x-api-key" in filter.secrets
    assert b"x_api_key" in filter.owns and b"x-api-key" not in filter.owns
    verdict = judge(filter, asked())
    assert isinstance(verdict, Fault)
    assert verdict.headers == (("WWW-Authenticate", 'ApiKey header="X-Api-Key"'),)


def test_where_the_decision_is_delayed_an_unknown_key_stays_here_too(directory: Path) -> None:
    made = asked(("X-Api-Key", "unknown"))
    assert judge(guard(directory, delay_auth_decision=True), made) is None
    assert made.request.headers.get("X-Identity-Status") == "Invalid"
    assert not made.request.headers.has("X-Api-Key")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f"- key_sha256: {digest(KEY)}\n  user: a\n- key_sha256: {digest(KEY)}\n  user: b",
            "keys.yaml:3:3: the same",
        ),
        ("- user: a", "key_sha256"),
        (f"- key_sha256: {digest(KEY)}", "a key stands for somebody"),
        ("- { key: plain-key, user: a }", "unknown key 'key'"),
        ("- { key_sha256: plain-key, user: a }", "64 hexadecimal digits"),
    ],
)
def test_a_wrong_file_is_told_without_a_value(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "keys.yaml").write_text(text)
    with pytest.raises(OptionError, match=words) as caught:
        guard(tmp_path)
    assert caught.value.rule == ("providers", 0, "api_key", "file")
    assert "plain-key" not in str(caught.value)


@pytest.mark.parametrize("header", ["Authorization", "X-Auth-Token", "x_auth_token", "X-User-Id", "Cookie"])
def test_a_key_has_a_field_of_its_own(directory: Path, header: str) -> None:
    with pytest.raises(ValidationError):
        guard(directory, key={"header": header})
