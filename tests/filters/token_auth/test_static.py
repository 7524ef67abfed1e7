"""The provider `static`."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from filters.token_auth.option import StaticOptions
from filters.token_auth.provider import Refusal
from filters.token_auth.static import Static
from gateway.api import OptionError, Principal
from gateway.api.testing import FrozenServices, exchange

FILE = """\
- token: 0123456789
  user: demo
  user_id: u1
  project_id: 1e5
  roles: [member, no]
- token_sha256: {digest}
  user_id: u2
  expires: 1700000001
"""


def static(options: dict[str, Any], directory: Path | None = None) -> Static:
    return Static(StaticOptions.model_validate(options), FrozenServices(directory=directory))


def test_knows_its_tokens_and_no_others() -> None:
    provider = static({"tokens": [{"token": "abc", "user_id": "u", "roles": ["member"]}]})
    assert provider.look_up("abc", exchange()) == Principal(user_id="u", roles=("member",), provider="static")
    assert provider.look_up("abC", exchange()) is None
    assert provider.look_up("", exchange()) is None


def test_a_token_ends_at_its_expiry() -> None:
    now = exchange().clock.wall
    provider = static(
        {
            "tokens": [
                {"token": "a", "user_id": "u", "expires": now},
                {"token": "b", "user_id": "u", "expires": now + 1},
            ]
        }
    )
    assert provider.look_up("a", exchange()) == Refusal("token_expired")
    assert isinstance(provider.look_up("b", exchange()), Principal)


def test_a_file_is_text_throughout(tmp_path: Path) -> None:
    (tmp_path / "tokens.yaml").write_text(FILE.format(digest=hashlib.sha256(b"other").hexdigest()))
    provider = static({"file": "tokens.yaml"}, tmp_path)
    first = provider.look_up("0123456789", exchange())
    assert isinstance(first, Principal)
    assert (first.project_id, first.roles) == ("1e5", ("member", "no"))
    second = provider.look_up("other", exchange())
    assert isinstance(second, Principal)
    assert second.expires_at == 1700000001.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"- token: hidden-value\n  user_id: u\n  token: other\n", r"tokens.yaml:1:3: a key stands twice"),
        (b"- token: [hidden-value\n", r"tokens.yaml:\d+:\d+: "),
        (
            b"- token: hidden-value\n  user_id: u\n  uesr: x\n",
            r"^tokens.yaml:3:3: unknown key 'uesr' \(did you mean 'user'\?\)$",
        ),
        (b"- hidden-value: x\n  user_id: u\n", r"^tokens.yaml:1:3: unknown key$"),
        (b"- hidden-value\n", r"^tokens.yaml:1:3: expected a mapping, got text$"),
        (
            b"- token: hidden-value\n  user_id: u\n  roles: admin\n",
            r"^tokens.yaml:3:3: expected a list, got text$",
        ),
        (
            b"- token: hidden-value\n  user: u\n  expires: soon\n",
            r"^tokens.yaml:3:3: expected a time such as",
        ),
        (b"- token: hidden-value\n", r"^tokens.yaml:1:3: expected user_id or user: "),
        (
            b"- token: hidden-value\n  rols: [x]\n- user: u\n  roles: [x, 'a,b']\n",
            r"^tokens.yaml:2:3: unknown key 'rols' \(did you mean 'roles'\?\); tokens.yaml:4:14: a comma separates roles",
        ),
        (
            b"- {token: hidden-value, user_id: u}\n- {token: hidden-value, user_id: v}\n",
            r"^tokens.yaml:2:3: the same token",
        ),
        (b"\xff", "not UTF-8"),
        (b"\x00", "not YAML"),
        (b"token: hidden-value", r"^tokens.yaml: expected a list of tokens$"),
        (b"# none yet\n", r"^tokens.yaml: expected a list of tokens$"),
    ],
)
def test_a_wrong_file_is_told_without_a_value(text: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "tokens.yaml").write_bytes(text)
    with pytest.raises(OptionError, match=words) as caught:
        static({"file": "tokens.yaml"}, tmp_path)
    assert caught.value.rule == ("file",)
    assert "hidden-value" not in str(caught.value)


def test_a_token_that_is_listed_twice_is_told_where_it_stands() -> None:
    tokens = [{"token": "hidden-value", "user": "u"}, {"token": "hidden-value", "user": "v"}]
    with pytest.raises(OptionError, match=r"^the same token as an earlier one$") as caught:
        static({"tokens": tokens})
    assert caught.value.rule == ("tokens", 1)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read none\.yaml: No such file"):
        static({"file": "none.yaml"}, tmp_path)


def test_the_fingerprint_follows_the_tokens() -> None:
    first = static({"tokens": [{"token": "a", "user_id": "u"}]})
    same = static({"tokens": [{"token": "a", "user_id": "u"}]})
    promoted = static({"tokens": [{"token": "a", "user_id": "u", "roles": ["admin"]}]})
    other = static({"tokens": [{"token": "b", "user_id": "u"}]})
    assert first.fingerprint == same.fingerprint
    assert len({first.fingerprint, promoted.fingerprint, other.fingerprint}) == 3
