"""The configuration's text without its secrets."""

from pathlib import Path

import pytest

from gateway.admin.source import MASK, around, masked
from gateway.config.load import Loaded, load
from gateway.registry import Registry

TEXT = """\
# The password of old was hunter2-old
listen: 127.0.0.1:0
admin: { address: 127.0.0.1:9901, token: "\\u006fpen sesame" }   # for operators
upstreams: { main: { endpoints: ["http://127.0.0.1:1"] } }
log: { path: null, hash_key: &again 'it''s a key' }
filters:
  - token_auth:
      providers:
        - static: { tokens: [ { token: tok-alice, user: tok-alice-the-user, roles: [member] } ] }
        - jwt:
            issuer: me
            keys:
              - algorithms: [HS256]
                jwk: |
                  {"kty": "oct",
                   "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
  - headers: { request: { set: { X-Api-Key: in-the-clear, X-Plain: shown } } }
routes: [ { name: all, path: "/{rest*}", upstream: main } ]
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "weir.yaml"
    path.write_text(TEXT)
    return load(path, registry=Registry())


def test_no_secret_is_told_however_it_is_written(loaded: Loaded) -> None:
    text = masked(loaded)
    for secret in (
        "open sesame",
        "pen sesame",
        "s a key",
        "tok-alice",
        "c2VjcmV0",
        "hunter2",
        "in-the-clear",
    ):
        assert secret not in text, secret
    assert text.count(MASK) >= 6
    for plain in ("X-Plain: shown", "issuer: me", "roles: [member]", "127.0.0.1:9901"):
        assert plain in text


def test_lines_stay_where_they_are(loaded: Loaded) -> None:
    text = masked(loaded)
    assert text.count("\n") == TEXT.count("\n")
    assert text.split("\n")[-2].startswith("routes:")
    shown = around(loaded, 17)
    assert [each["line"] for each in shown] == [*range(11, 20)]
    assert "X-Plain" in next(each["text"] for each in shown if each["line"] == 17)
    assert around(loaded, 1)[0]["line"] == 1
    assert around(loaded, 10_000) == []
