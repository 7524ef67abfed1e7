"""Keystone's JWS tokens before Keystone is asked: what is refused early, and that nothing is accepted."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth import TokenAuth
from filters.token_auth.option import JwsOptions
from filters.token_auth.precheck import Early, Precheck
from filters.token_auth.provider import Refusal
from gateway.api import Fault, OptionError
from gateway.api.testing import FrozenServices, build, exchange, judge
from tests.filters.token_auth.identity_service import OPTIONS, IdentityService, document
from tests.filters.token_auth.signing import SECRET, b64, ec384_key, ec_key, pem, rsa_key, sign

NOW = 1_700_000_000.0
INVALID, EXPIRED = Refusal("token_invalid"), Refusal("token_expired")

# A token that Keystone 30 has issued at NOW for an hour, and the public key of the pair that it made for it.
SAMPLE = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJmZDM4NGRiN2RlMTQ0NTY3ODI5MDI3MTQ4MzgxNTcyZiIsImlhdCI6MTcwMDAwMDAwMCwi"
    "ZXhwIjoxNzAwMDAzNjAwLCJvcGVuc3RhY2tfbWV0aG9kcyI6WyJwYXNzd29yZCJdLCJvcGVuc3RhY2tfYXVkaXRfaWRzIjpbIjUwcGhIS2ZrU0VHa0k3"
    "N19EdnhmX2ciXSwib3BlbnN0YWNrX3Byb2plY3RfaWQiOiI1OTRkZWYxMWRmOTQ0OTRkOTY1ZGFmYWFiZGZlZTg0OSJ9.cvc0UIQK8uic2BCE8QS-EST"
    "dmeX0u9km6De_LqEdM3Gf5WQDwJP6gQSmZWLp7Je-oBm5tUkaSgSMh9NqImDkCA"
)
SAMPLE_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqJHidadj8YvRH1BDSe9iSKXwSrdj
N6RwiRYo05oLYegnNJ2GIT7YykJElGHe71xJlOvAE7naxMzwwoMOa/TBQg==
-----END PUBLIC KEY-----
"""
# The form of a fernet token, which is 183 characters and has no dot.
FERNET = "gAAAAABlU" + "x-_0" * 43 + "AA"
CLAIMS = {"sub": "u1", "iat": int(NOW), "exp": int(NOW) + 3600, "openstack_methods": ["password"]}


def precheck(*keys: str, directory: Path | None = None, **options: Any) -> Precheck:
    made = JwsOptions.model_validate({"keys": keys or [SAMPLE_KEY, pem(ec_key())], **options})
    return Precheck(made, FrozenServices(directory=directory))


def judged(token: str, now: float = NOW, *, may_be_over: bool = False) -> Early | None:
    return precheck().judge(token, now, may_be_over=may_be_over)


def claims(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}


def test_keystone_is_asked_of_its_own_token() -> None:
    assert judged(SAMPLE) is None
    assert judged(sign(CLAIMS)) is None
    assert judged(sign(CLAIMS, header={"kid": "any"})) is None  # a name adds and takes no key


def test_a_token_that_is_over_is_refused_unless_a_service_vouches() -> None:
    assert judged(SAMPLE, NOW + 3609) is None
    assert judged(SAMPLE, NOW + 3610) == Early(EXPIRED)
    assert judged(SAMPLE, NOW + 3610, may_be_over=True) is None


@given(st.integers(0, 410), st.integers(1, 255))
def test_one_changed_character_makes_it_nobodys(place: int, other: int) -> None:
    code = (ord(SAMPLE[place]) + other) % 128
    changed = SAMPLE[:place] + chr(code) + SAMPLE[place + 1 :]
    if changed.count(".") == 2 and changed != SAMPLE:
        assert judged(changed) == Early(None)
        assert judged(changed, may_be_over=True) == Early(None)


@pytest.mark.parametrize(
    "token", [FERNET, "", "garbage", "a.b", "a.b.c.d", "f064c46a782c444cb4ba4b6434288f7d"]
)
def test_of_a_token_of_another_form_nothing_is_said(token: str) -> None:
    assert judged(token) is None


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        sign(CLAIMS, rsa_key(), "RS256"),
        sign(CLAIMS, ec384_key(), "ES384"),
        sign(CLAIMS, SECRET, "HS256"),
        "e30.e30.e30",
        sign(CLAIMS, header={"alg": "none"}),
        sign(CLAIMS, header={"alg": "HS256"}),
        sign(CLAIMS, header={"crit": ["exp"]}),
        f"{b64(b'{}').decode()}.{b64(b'{}').decode()}.",
        sign(CLAIMS)[:-4],
    ],
)
def test_what_no_pinned_key_has_signed_is_not_keystones(token: str) -> None:
    assert judged(token) == Early(None)


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"iat": ...},
        {"iat": "now"},
        {"exp": ...},
        {"exp": None},
        {"exp": True},
        {"exp": "9999999999"},
    ],
)
def test_a_signed_token_without_user_or_times_is_refused(changes: dict[str, Any]) -> None:
    assert judged(sign(claims(**changes))) == Early(INVALID)
    assert judged(sign(claims(**changes)), may_be_over=True) == Early(INVALID)


def test_claims_that_are_none_are_refused() -> None:
    assert judged(sign(b"[]")) == Early(INVALID)
    assert judged(sign(b'{"exp":1,"exp":9999999999}')) == Early(INVALID)


def test_keys_are_read_from_files_and_tell_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "1.pem").write_text(SAMPLE_KEY)
    first = precheck("1.pem", directory=tmp_path)
    assert first.judge(SAMPLE, NOW, may_be_over=False) is None
    (tmp_path / "1.pem").write_text(pem(ec_key()))
    second = precheck("1.pem", directory=tmp_path)
    assert second.judge(SAMPLE, NOW, may_be_over=False) == Early(None)
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint != precheck(SAMPLE_KEY, leeway="1s").fingerprint


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("absent.pem", "cannot read absent.pem"),
        (pem(rsa_key()), "not one for ES256"),
        (pem(ec384_key()), "not one for ES256"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "not a public key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "a private key"),
    ],
)
def test_a_bad_key_is_said_to_be_bad_where_it_stands(key: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        precheck(SAMPLE_KEY, key)
    assert caught.value.rule == ("jws", "keys", 1)


# ---- before Keystone


class Desk:
    """A filter that asks a Keystone which knows the sample, and nobody else's."""

    def __init__(self, *others: dict[str, Any], **options: Any) -> None:
        self.service = IdentityService(
            {SAMPLE: document("u1", "member"), "service": document("nova", "service")}
        )
        self.services = FrozenServices(wall=NOW, answer=self.service)
        keystone = {**OPTIONS, "jws": {"keys": [SAMPLE_KEY, pem(ec_key())]}}
        self.filter = build(
            TokenAuth, {"providers": [{"keystone": keystone}, *others], **options}, self.services
        )

    def judge(self, token: str, *headers: tuple[str, str]) -> str | None:
        made = exchange(headers=[("X-Auth-Token", token), *headers], clock=self.services.now())
        verdict = judge(self.filter, made)
        return f"{verdict.status} {verdict.reason}" if isinstance(verdict, Fault) else None


def test_a_forged_token_is_refused_and_keystone_not_asked() -> None:
    desk = Desk()
    head, body, _ = SAMPLE.split(".")
    _, _, signature = sign(CLAIMS).split(".")
    assert desk.judge(f"{head}.{body}.{signature}") == "401 token_invalid"
    desk.services.advance(4000)
    assert desk.judge(SAMPLE) == "401 token_expired"
    assert desk.services.requests == []


def test_a_sound_token_is_never_accepted_without_keystone() -> None:
    desk = Desk()
    assert desk.judge(SAMPLE) is None
    assert desk.judge(sign(CLAIMS)) == "401 token_invalid"  # signed, and Keystone does not know it: revoked
    assert len(desk.service.asked) == 2


def test_a_fernet_token_goes_to_keystone_untouched() -> None:
    desk = Desk()
    desk.service.tokens[FERNET] = document("u1", "member")
    assert desk.judge(FERNET) is None
    assert desk.service.asked == [FERNET]


def test_beside_a_service_an_expired_token_is_keystones_to_judge() -> None:
    desk = Desk(service_tokens={})
    desk.service.tokens["service"] = document("nova", "service", expires=NOW + 90000)
    desk.services.advance(4000)
    desk.service.now += 4000
    assert desk.judge(SAMPLE) == "401 token_expired"
    assert desk.judge(SAMPLE, ("X-Service-Token", "service")) is None
    assert desk.service.asked == ["service", SAMPLE]


def test_another_provider_is_asked_of_a_token_that_keystone_has_not_signed() -> None:
    jwt = {"keys": [{"pem": pem(rsa_key()), "algorithms": ["RS256"]}]}
    desk = Desk({"jwt": jwt})
    assert desk.judge(sign(CLAIMS, rsa_key(), "RS256")) is None
    assert desk.services.requests == []
