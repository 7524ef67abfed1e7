"""The provider `jwt`: what passes, and that every bad token is a no and never an exception."""

import json
from inspect import isawaitable
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth import TokenAuth
from filters.token_auth.jwt import Jwt
from filters.token_auth.option import JwtOptions
from filters.token_auth.provider import Answer, Refusal, Unavailable
from gateway.api import Fault, HttpError, Principal, Verdict
from gateway.api.testing import FrozenServices, build, exchange, judge
from tests.filters.token_auth.issuer_service import BY_ISSUER, BY_URL, IssuerService, token
from tests.filters.token_auth.signing import SECRET, b64, ec384_key, ec_key, ed_key, jwk, pem, rsa_key, sign

NOW = 1_700_000_000
CLAIMS = {"sub": "u1", "exp": NOW + 600, "iat": NOW, "project_id": "p1", "roles": ["member"]}
INVALID = Refusal("token_invalid")


def provider(services: FrozenServices | None = None, **options: Any) -> Jwt:
    options.setdefault("keys", [{"pem": pem(ec_key()), "algorithms": ["ES256"]}])
    return Jwt(JwtOptions.model_validate(options), services or FrozenServices(wall=NOW))


def asked(token: str, **options: Any) -> Answer:
    return provider(**options).look_up(token, exchange())


def claims(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}


def test_a_good_token_gives_its_principal() -> None:
    assert asked(sign(CLAIMS)) == Principal(
        user_id="u1", project_id="p1", roles=("member",), expires_at=NOW + 600.0, provider="jwt"
    )


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(rsa_key, "RS256"), (rsa_key, "PS384"), (ec_key, "ES256"), (ec384_key, "ES384"), (ed_key, "EdDSA")],
)
def test_verifies_what_pyjwt_signs(key: Any, algorithm: str) -> None:
    token = pyjwt.encode(CLAIMS, key(), algorithm)
    assert isinstance(asked(token, keys=[{"jwk": jwk(key()), "algorithms": [algorithm]}]), Principal)


def test_a_token_of_keystone() -> None:
    token = pyjwt.encode(
        {
            "sub": "fd38",
            "iat": NOW - 5,
            "exp": NOW + 5,
            "openstack_methods": ["password"],
            "openstack_audit_ids": ["50phHKfkSEGkI77_Dvxf_g"],
            "openstack_project_id": "594d",
        },
        ec_key(),
        "ES256",
    )
    answer = asked(token, claims={"project_id": "openstack_project_id"})
    assert isinstance(answer, Principal)
    assert (answer.user_id, answer.project_id, answer.roles) == ("fd38", "594d", ())


# ---- whose token it is


def header_of(**members: Any) -> str:
    return sign(CLAIMS, header=members)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "opaque",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "..",
        sign(CLAIMS, ec384_key(), "ES384"),
        sign(CLAIMS).rpartition(".")[0] + ".",
        sign(CLAIMS).rpartition(".")[0] + "." + b64(b"\0" * 64).decode(),
        sign(CLAIMS)[:-2],
        sign(CLAIMS) + "=",
        sign(CLAIMS) + "==",
        sign(CLAIMS).replace(".", "=.", 1),
        header_of(alg="none"),
        header_of(alg="None"),
        header_of(alg="ES384"),
        header_of(alg=None),
        header_of(alg=["ES256"]),
        header_of(crit=["exp"]),
        header_of(crit=[]),
        header_of(b64=False),
        header_of(kid=1),
        sign(CLAIMS, header=b'{"alg":"ES256","alg":"ES256"}'),
        sign(CLAIMS, header=b'{"alg":"ES256","x":NaN}'),
        sign(CLAIMS, header=b'{"alg":"ES256","x":{"a":1,"a":1}}'),
        sign(CLAIMS, header=b'["ES256"]'),
        sign(CLAIMS, header=b"\xff"),
        sign(CLAIMS, header=b"[" * 5000),
        b64(json.dumps({"alg": "none"}).encode()).decode()
        + "."
        + b64(json.dumps(CLAIMS).encode()).decode()
        + ".",
    ],
)
def test_a_token_that_our_keys_do_not_vouch_for_is_not_ours(token: str) -> None:
    assert asked(token) is None


def test_the_last_character_has_one_spelling() -> None:
    token = sign(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(token[-1]) ^ 1]  # 64 bytes leave four bits over, that say nothing
    assert asked(token[:-1] + twin) is None


def test_a_public_key_as_shared_secret_is_the_classic_attack() -> None:
    secret = pem(rsa_key()).encode()
    signed = b64(b'{"alg":"HS256"}') + b"." + b64(json.dumps(CLAIMS).encode())
    forged = (signed + b"." + b64(pyjwt.get_algorithm_by_name("HS256").sign(signed, secret))).decode()
    keys = [
        {"pem": pem(rsa_key()), "algorithms": ["RS256"]},
        {"jwk": jwk(SECRET), "algorithms": ["HS256"]},
    ]
    assert asked(forged, keys=keys) is None
    assert isinstance(asked(sign(CLAIMS, SECRET, "HS256"), keys=keys), Principal)


def test_an_algorithm_is_pinned_to_its_key() -> None:
    token = sign(CLAIMS, rsa_key(), "PS256")
    keys = [
        {"pem": pem(rsa_key()), "algorithms": ["RS256"]},
        {"jwk": jwk(ec_key()), "algorithms": ["ES256"]},
    ]
    assert asked(token, keys=keys) is None


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_a_key_in_the_token_is_never_used(name: str) -> None:
    foreign = jwk(ec384_key())
    value: Any = {"jwk": foreign, "x5c": ["AAAA"]}.get(name, "http://attacker.test/keys")
    assert asked(sign(CLAIMS, ec384_key(), "ES384", {name: value}), claims={}) is None
    assert isinstance(asked(sign(CLAIMS, header={name: value})), Principal)


def test_kid_chooses_among_the_configured_keys_only() -> None:
    keys = [
        {
            "jwks": {"keys": [jwk(ec_key(), kid="a"), jwk(rsa_key(), kid="b")]},
            "algorithms": ["ES256", "RS256"],
        }
    ]
    assert isinstance(asked(sign(CLAIMS, header={"kid": "a"}), keys=keys), Principal)
    assert isinstance(asked(sign(CLAIMS), keys=keys), Principal)
    for kid in ("b", "c", "../../etc/passwd", "' or 1=1", ""):
        assert asked(sign(CLAIMS, header={"kid": kid}), keys=keys) is None


def test_a_key_without_kid_may_be_meant_by_any() -> None:
    assert isinstance(asked(sign(CLAIMS, header={"kid": "whatever"})), Principal)


def test_another_issuer_or_audience_is_another_provider() -> None:
    assert isinstance(asked(sign(claims(iss="i")), issuer="i"), Principal)
    assert asked(sign(claims(iss="j")), issuer="i") is None
    assert asked(sign(CLAIMS), issuer="i") is None
    assert asked(sign(claims(iss=["i"])), issuer="i") is None
    ours: list[Any] = ["us", ["them", "us"]]
    for audience in ours:
        assert isinstance(asked(sign(claims(aud=audience)), audience="us"), Principal)
    theirs: list[Any] = ["them", ["them"], [], [1], {"us": 1}, None, ...]
    for audience in theirs:
        assert asked(sign(claims(aud=audience)), audience=["us"]) is None
    assert asked(sign(claims(aud="them"))) is None


# ---- signed by our keys, and still no


@pytest.mark.parametrize(
    "body",
    [
        claims(exp=...),
        claims(exp=None),
        claims(exp=True),
        claims(exp=str(NOW + 600)),
        claims(exp=10**400),
        claims(exp=2**53),
        json.dumps(CLAIMS).replace(f'"exp": {NOW + 600}', '"exp": 1e999').encode(),
        json.dumps(CLAIMS).replace(f'"exp": {NOW + 600}', '"exp": NaN').encode(),
        json.dumps(CLAIMS).replace(f'"exp": {NOW + 600}', '"exp": Infinity').encode(),
        json.dumps(CLAIMS).replace(f'"exp": {NOW + 600}', '"exp": ' + "9" * 5000).encode(),
        claims(nbf="now"),
        claims(iat=None),
        claims(iat=False),
        b'{"sub":"u1","sub":"admin","exp":%d}' % (NOW + 600),
        b'{"sub":"u1","exp":%d,"a":{"b":1,"b":2}}' % (NOW + 600),
        b"[]",
        b"null",
        b"",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"sub":"u1"}',
        b"[" * 5000,
        b'{"a":' * 2000,
        claims(sub=...),
        claims(sub=""),
        claims(sub=True),
        claims(sub=["u1"]),
        claims(sub={"a": 1}),
        claims(sub="u1\r\nX-Roles: admin"),
        claims(sub="\ud800"),
        claims(project_id="p\0"),
        claims(roles={"admin": 1}),
        claims(roles=["member", 1]),
        claims(roles=["member,admin"]),
        claims(roles=["a\nb"]),
    ],
)
def test_a_signed_token_that_cannot_be_used_is_invalid(body: Any) -> None:
    assert asked(sign(body)) == INVALID


def test_claims_that_we_cannot_use_are_told_to_the_operator() -> None:
    services = FrozenServices(wall=NOW)
    asked_of = provider(services, issuer="i")
    assert asked_of.look_up(sign(claims(iss="i", sub="a\nb")), exchange()) == INVALID
    ((event, facts),) = services.warnings
    assert event == "token_claims_unusable"
    assert facts["issuer"] == "i"
    assert "a\nb" not in repr(facts)


def test_times_are_judged_by_the_exchange_with_leeway() -> None:
    def at(**changes: Any) -> Answer:
        return asked(sign(claims(**changes)), leeway="10s")

    assert isinstance(at(exp=NOW - 9), Principal)
    assert at(exp=NOW - 10) == Refusal("token_expired")
    assert at(exp=NOW - 9.5) != Refusal("token_expired")
    assert isinstance(at(nbf=NOW + 10, iat=NOW + 10), Principal)
    assert at(nbf=NOW + 11) == Refusal("token_invalid", lasting=False)
    assert at(iat=NOW + 11) == Refusal("token_invalid", lasting=False)
    assert isinstance(at(iat=...), Principal)


# ---- what the claims say


def test_claims_are_found_by_name_then_along_the_dots() -> None:
    body = claims(
        realm_access={"roles": ["member", "reader"]},
        preferred_username="demo",
        **{"https://example.test/project": {"id": "p9"}, "a.b": "whole", "a": {"b": "nested"}},
    )
    answer = asked(
        sign(body),
        claims={
            "user": "preferred_username",
            "roles": "realm_access.roles",
            "project_id": "https://example.test/project.id",
            "project_name": "a.b",
            "user_domain_id": "a.b.c",
        },
    )
    assert isinstance(answer, Principal)
    assert answer.user_name == "demo"
    assert answer.roles == ("member", "reader")
    assert answer.project_id is None  # the dots in a URL are dots of the path as well: no claim has that name
    assert answer.project_name == "whole"
    assert answer.user_domain_id is None


@pytest.mark.parametrize(
    ("roles", "expected"),
    [("member  reader", ("member", "reader")), ([], ()), (["", "a"], ("a",)), (None, ()), ("", ())],
)
def test_roles_are_a_list_or_one_text(roles: Any, expected: tuple[str, ...]) -> None:
    answer = asked(sign(claims(roles=roles)))
    assert isinstance(answer, Principal)
    assert answer.roles == expected


def test_a_whole_number_may_be_an_id() -> None:
    answer = asked(sign(claims(sub=42)))
    assert isinstance(answer, Principal)
    assert answer.user_id == "42"


def test_a_claim_may_be_left_unread() -> None:
    answer = asked(sign(CLAIMS), claims={"roles": None, "project_id": None})
    assert isinstance(answer, Principal)
    assert (answer.roles, answer.project_id) == ((), None)


# ---- laws


SHARED = provider(keys=[{"jwk": jwk(SECRET), "algorithms": ["HS256"]}])


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=200))
def test_no_text_raises(text: str) -> None:
    assert SHARED.look_up(text, exchange()) is None


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "roles", "project_id"]), JSON)
)
def test_no_signed_claims_raise(body: Any) -> None:
    answer = SHARED.look_up(sign(body, SECRET, "HS256"), exchange())
    assert answer is None or isinstance(answer, (Principal, Refusal))
    if isinstance(answer, Principal):
        assert answer.user_id
        assert answer.expires_at is not None


@given(st.data())
def test_no_changed_character_keeps_a_token_good(data: st.DataObject) -> None:
    token = sign(CLAIMS, SECRET, "HS256")
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != token[place]))
    assert SHARED.look_up(token[:place] + other + token[place + 1 :], exchange()) is None


def test_wrong_keys_are_told_with_their_place() -> None:
    with pytest.raises(ValueError, match=r"^keys\[1\]\.pem: "):
        provider(
            keys=[
                {"pem": pem(ec_key()), "algorithms": ["ES256"]},
                {"pem": "none.pem", "algorithms": ["ES256"]},
            ]
        )


def test_the_fingerprint_follows_keys_and_rules() -> None:
    first = provider()
    assert first.fingerprint == provider().fingerprint
    assert first.fingerprint != provider(issuer="i").fingerprint
    assert first.fingerprint != provider(claims={"roles": "r"}).fingerprint
    assert first.fingerprint != provider(keys=[{"pem": pem(rsa_key()), "algorithms": ["RS256"]}]).fingerprint


# ---- keys that are fetched


class Desk:
    """A filter that fetches its keys, and the issuer's clock and its own."""

    def __init__(self, *others: dict[str, Any], cache: dict[str, Any] | None = None, **options: Any) -> None:
        self.service = IssuerService()
        self.services = FrozenServices(wall=NOW, answer=self.service)
        self.options = {"providers": [{"jwt": options or BY_URL}, *others], "cache": cache or {}}
        self.filter = build(TokenAuth, self.options, self.services)

    def judge(self, given: str) -> str | None:
        """The reason of a refusal with its status, None where the request passes."""
        made = exchange(headers=[("X-Auth-Token", given)], clock=self.services.now())
        verdict = judge(self.filter, made)
        self.fault = verdict if isinstance(verdict, Fault) else None
        self.principal = made.principal
        return None if self.fault is None else f"{self.fault.status} {self.fault.reason}"

    async def asked(self, given: str) -> Answer:
        """What the provider says, beside the filter and its memory."""
        answer = self.filter._providers[0].look_up(given, exchange(clock=self.services.now()))
        return await answer if isawaitable(answer) else answer


DOWN = HttpError("connect")
UNAVAILABLE = "503 provider_unavailable"


@pytest.mark.parametrize("options", [BY_URL, BY_ISSUER])
def test_a_token_is_verified_with_a_key_that_the_issuer_publishes(options: dict[str, Any]) -> None:
    desk = Desk(**options)
    assert desk.judge(token()) is None
    assert desk.principal is not None
    assert (desk.principal.user_id, desk.principal.roles, desk.principal.provider) == (
        "u1",
        ("member",),
        "jwt",
    )
    for number in range(3):
        assert desk.judge(token(jti=str(number))) is None
    assert desk.service.fetched == 1
    assert not desk.filter.pure


def test_a_token_of_another_issuer_than_the_one_discovered_is_not_ours() -> None:
    desk = Desk(**BY_ISSUER)
    assert desk.judge(token(iss="https://evil.test")) == "401 token_invalid"
    assert desk.service.asked == []
    assert Desk(**BY_URL).judge(token(iss="https://evil.test")) is None  # nothing is said of the issuer there


@pytest.mark.parametrize(
    "given",
    [
        "opaque",
        "a.b.c",
        token(algorithm="HS256", key=SECRET),
        token(algorithm="ES384", key=ec384_key()),
        token(aud="somebody else"),
        sign({"sub": "u1"}, ec_key(), "ES256", {"kid": "one", "alg": "none"}),
        sign(b"[]", ec_key(), "ES256", {"kid": "one"}),
    ],
)
def test_for_what_can_never_be_ours_nobody_is_asked(given: str) -> None:
    desk = Desk()
    assert desk.judge(given) == "401 token_invalid"
    assert desk.service.asked == []


def test_a_shared_secret_that_is_published_verifies_nothing() -> None:
    desk = Desk()
    desk.service.keys.append(jwk(SECRET, kid="hs"))
    forged = token("hs", SECRET, "HS256")
    assert desk.judge(forged) == "401 token_invalid"
    assert desk.judge(token()) is None
    assert desk.judge(token("hs", SECRET, "HS256", jti="2")) == "401 token_invalid"


def test_while_there_are_no_keys_nobody_is_refused_or_let_in() -> None:
    desk = Desk()
    desk.service.instead = DOWN
    assert desk.judge(token()) == UNAVAILABLE
    assert desk.fault is not None
    assert desk.fault.retry_after == 1
    assert desk.judge(token()) == UNAVAILABLE
    assert desk.service.fetched == 1
    desk.service.instead = None
    desk.services.advance(1)
    assert desk.judge(token()) is None


def test_another_provider_may_know_the_token_while_there_are_no_keys() -> None:
    given = token()
    desk = Desk({"static": {"tokens": [{"token": given, "user_id": "known"}]}})
    desk.service.instead = DOWN
    assert desk.judge(given) is None
    assert desk.principal is not None
    assert desk.principal.user_id == "known"


def test_an_unknown_kid_has_the_keys_fetched_once_in_a_cooldown() -> None:
    desk = Desk(cache={"negative_ttl": 0})
    assert desk.judge(token()) is None
    for number in range(20):
        assert desk.judge(token(f"invented-{number}", rsa_key(), "RS256")) == "401 token_invalid"
    assert desk.service.fetched == 1
    desk.services.advance(30)
    for number in range(20):
        assert desk.judge(token(f"invented-{number}", rsa_key(), "RS256")) == "401 token_invalid"
    assert desk.service.fetched == 2


async def test_who_is_judged_late_has_them_fetched_no_more_often() -> None:
    desk = Desk()
    assert await desk.asked(token()) is not None
    desk.services.advance(30)
    pending = [
        desk.filter._providers[0].look_up(
            token(f"late-{number}", rsa_key(), "RS256"), exchange(clock=desk.services.now())
        )
        for number in range(20)
    ]
    for each in pending:  # all were looked at before the first of them had anything fetched
        assert isawaitable(each)
        assert await each is None
    assert desk.service.fetched == 2


def test_a_new_key_is_known_with_the_first_token_that_names_it() -> None:
    desk = Desk()
    assert desk.judge(token()) is None
    desk.services.advance(30)
    desk.service.keys.append(jwk(rsa_key(), kid="two"))
    assert desk.judge(token("two", rsa_key(), "RS256")) is None
    assert desk.service.fetched == 2


def test_a_bad_signature_of_a_known_key_has_nothing_fetched() -> None:
    desk = Desk()
    assert desk.judge(token()) is None
    desk.services.advance(60)
    head, body, _ = token().split(".")
    _, _, other = token(sub="admin").split(".")
    assert desk.judge(f"{head}.{body}.{other}") == "401 token_invalid"
    assert desk.service.fetched == 1


def test_keys_without_names_are_fetched_anew_for_what_none_has_signed() -> None:
    desk = Desk()
    desk.service.keys = [jwk(ec_key())]
    assert desk.judge(token(None)) is None
    desk.service.keys = [jwk(rsa_key())]
    desk.services.advance(30)
    assert desk.judge(token(None, rsa_key(), "RS256")) is None


def test_whether_an_unknown_key_is_known_to_the_issuer_cannot_be_said_while_it_is_down() -> None:
    desk = Desk()
    assert desk.judge(token()) is None
    desk.services.advance(60)
    desk.service.instead = DOWN
    assert desk.judge(token("two", rsa_key(), "RS256")) == UNAVAILABLE
    assert desk.judge(token("two", rsa_key(), "RS256", jti="again")) == UNAVAILABLE
    assert desk.service.fetched == 2
    assert desk.judge(token(jti="new")) is None  # what is known goes on


def test_keys_that_could_not_be_fetched_for_too_long_verify_nothing() -> None:
    desk = Desk(**BY_URL, fetch={"period": "10m", "stale_for": "1h"}, cache={"ttl": 0})
    desk.service.instead = None
    assert desk.judge(token()) is None
    desk.service.instead = DOWN
    desk.services.advance(3000)
    assert desk.judge(token(exp=NOW + 90000)) is None
    desk.services.advance(1200)
    assert desk.judge(token(exp=NOW + 90000)) == UNAVAILABLE


async def test_what_was_accepted_under_a_key_that_is_gone_is_forgotten() -> None:
    known = {"static": {"tokens": [{"token": "opaque", "user_id": "u2"}]}}
    desk = Desk(known)
    await desk.filter.start()
    assert isinstance(await desk.asked(token()), Principal)

    async def judged(given: str) -> Verdict:
        verdict = desk.filter.on_request(
            exchange(headers=[("X-Auth-Token", given)], clock=desk.services.now())
        )
        return await verdict if isawaitable(verdict) else verdict

    assert await judged(token()) is None
    assert await judged("opaque") is None
    two = token("two", rsa_key(), "RS256")
    refused = await judged(two)
    assert isinstance(refused, Fault)
    remembered = desk.filter._cache
    assert (len(remembered.accepted), len(remembered.refused)) == (2, 1)
    desk.service.keys = [jwk(rsa_key(), kid="two")]
    desk.services.advance(30)
    assert isinstance(await desk.asked(token("two", rsa_key(), "RS256", jti="x")), Principal)
    # The other provider's stays; the no may have been one only because the key was not known.
    assert (len(remembered.accepted), len(remembered.refused)) == (1, 0)
    assert isinstance(await judged(token()), Fault)
    assert await judged(two) is None
    await desk.filter.close()


def test_keys_outlive_the_filter_that_fetched_them() -> None:
    desk = Desk()
    assert desk.judge(token()) is None
    desk.service.instead = DOWN
    desk.filter = build(TokenAuth, desk.options, desk.services)
    assert desk.judge(token(jti="other")) is None
    assert desk.service.fetched == 1


async def test_a_filter_is_ready_while_its_issuer_is_down() -> None:
    desk = Desk()
    desk.service.instead = DOWN
    await desk.filter.start()
    assert isinstance(await desk.asked(token()), Unavailable)
    await desk.filter.close()


def test_a_fetching_provider_judges_no_expired_token() -> None:
    desk = Desk()
    assert desk.judge(token(exp=NOW - 60)) == "401 token_expired"
    with pytest.raises(NotImplementedError):
        desk.filter._providers[0].look_up_expired(token(), exchange())
