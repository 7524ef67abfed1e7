"""The filter: what it strips and sets, what it answers, what it remembers."""

import asyncio
import hashlib
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters._identity import IDENTITY_NAMES
from filters.token_auth import TokenAuth
from filters.token_auth.provider import Answer, LocalProvider, Refusal, Unavailable
from gateway.api import (
    Certificate,
    Exchange,
    Fault,
    Instant,
    Note,
    OptionError,
    Principal,
    Revocation,
    ShadowExchange,
)
from gateway.api.fact import CERTIFICATE
from gateway.api.testing import FrozenServices, build, exchange, judge
from gateway.http.fields import Fields
from tests.filters.token_auth.signing import ec_key, pem, sign

NOW = 1_700_000_000
TOKEN = "f064c46a782c444cb4ba4b6434288f7c"
DEMO = {
    "token": TOKEN,
    "user": "demo",
    "user_id": "u1",
    "project_id": "p1",
    "project_name": "web",
    "roles": ["member", "reader"],
}
PROVIDERS = [{"static": {"tokens": [DEMO, {"token": "old", "user_id": "u2", "expires": NOW - 1}]}}]


def guard(services: FrozenServices | None = None, **options: Any) -> TokenAuth:
    return build(TokenAuth, {"providers": PROVIDERS, **options}, services)


def asked(token: str | None = TOKEN, *more: tuple[str, str], at: float = 0.0) -> Exchange:
    headers = ([] if token is None else [("X-Auth-Token", token)]) + list(more)
    return exchange(headers=headers, clock=Instant(NOW + at, 1000.0 + at))


def lines(made: Exchange) -> list[tuple[bytes, bytes]]:
    return list(made.request.headers)


def refused(verdict: Any) -> Fault:
    assert isinstance(verdict, Fault)
    return verdict


class Asked(LocalProvider):
    """A provider that answers what it is told to, and counts the questions."""

    kind: ClassVar[str] = "asked"
    fingerprint = b""

    def __init__(self, *answers: Answer, waits: bool = False) -> None:
        self.answers = list(answers)
        self.waits = waits
        self.questions = 0
        self.life: list[str] = []

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        answer = self.answers[min(self.questions, len(self.answers) - 1)]
        self.questions += 1
        return self._later(answer) if self.waits else answer

    async def _later(self, answer: Answer) -> Answer:
        await asyncio.sleep(0)
        return answer

    async def start(self) -> None:
        self.life.append("start")

    async def close(self) -> None:
        self.life.append("close")


def asking(*providers: Asked, **options: Any) -> TokenAuth:
    made = guard(**options)
    made._providers = providers
    return made


SOMEBODY = Principal(user_id="u", provider="asked")
NO = Refusal("token_invalid")
AWAY = Unavailable(7)


# ---- a good token


def test_a_good_token_sets_the_principal_and_the_fields() -> None:
    made = asked(TOKEN, ("Accept", "*/*"))
    assert judge(guard(), made) is None
    assert made.principal is not None
    assert (made.principal.user_id, made.principal.project_id) == ("u1", "p1")
    assert made.principal.token_key == FrozenServices().keyed_hash(TOKEN.encode())
    assert lines(made) == [
        (b"X-Auth-Token", TOKEN.encode()),
        (b"Accept", b"*/*"),
        (b"X-Identity-Status", b"Confirmed"),
        (b"X-User-Id", b"u1"),
        (b"X-User-Name", b"demo"),
        (b"X-Project-Id", b"p1"),
        (b"X-Project-Name", b"web"),
        (b"X-Roles", b"member,reader"),
        (b"X-User", b"demo"),
        (b"X-Role", b"member,reader"),
        (b"X-Tenant-Id", b"p1"),
        (b"X-Tenant-Name", b"web"),
        (b"X-Tenant", b"web"),
    ]


def test_the_same_from_memory() -> None:
    filter = guard()
    first, second = asked(), asked()
    assert judge(filter, first) is None
    assert judge(filter, second) is None
    assert lines(first) == lines(second)
    assert first.principal == second.principal
    assert [made.notes[0].facts["cached"] for made in (first, second) if made.notes] == [False, True]
    assert first.notes is not None
    assert (first.notes[0].reason, first.notes[0].rule) == ("token_accepted", ("providers", 0))


def test_white_space_around_a_token_is_not_part_of_it() -> None:
    assert judge(guard(), asked(f" \t{TOKEN} ")) is None


def test_the_token_may_stay_here() -> None:
    filter = guard(forward_token=False)
    for _ in range(2):
        made = asked()
        assert judge(filter, made) is None
        assert not made.request.headers.has("X-Auth-Token")
        assert made.request.headers.get("X-User-Id") == "u1"


def test_another_header_may_carry_it() -> None:
    filter = guard(header="X-Token")
    assert judge(filter, exchange(headers={"x-token": TOKEN})) is None
    assert refused(judge(filter, asked())).reason == "token_missing"


def test_a_token_given_by_its_digest() -> None:
    tokens = [{"token_sha256": hashlib.sha256(b"abc").hexdigest(), "user_id": "u"}]
    filter = guard(providers=[{"static": {"tokens": tokens}}])
    assert judge(filter, asked("abc")) is None
    assert refused(judge(filter, asked(tokens[0]["token_sha256"]))).reason == "token_invalid"


def test_two_kinds_of_provider_stand_side_by_side() -> None:
    keys = [{"pem": pem(ec_key()), "algorithms": ["ES256"]}]
    filter = guard(providers=[*PROVIDERS, {"jwt": {"keys": keys}}])
    made = asked(sign({"sub": "signed", "exp": NOW + 60}))
    assert judge(filter, made) is None
    assert made.principal is not None
    assert (made.principal.user_id, made.principal.provider) == ("signed", "jwt")
    assert judge(filter, asked()) is None


# ---- what the client may not say


@pytest.mark.parametrize("spell", [str, str.upper, str.lower, lambda name: name.replace("-", "_")])
@pytest.mark.parametrize("token", [TOKEN, None])
def test_identity_fields_of_the_client_never_arrive(spell: Any, token: str | None) -> None:
    filter = guard(delay_auth_decision=True)
    made = asked(token, *((spell(name), "evil") for name in IDENTITY_NAMES), ("X-Other", "kept"))
    assert judge(filter, made) is None
    assert b"evil" not in [value for _, value in lines(made)]
    assert made.request.headers.get("X-Other") == "kept"
    assert made.request.headers.all("X-Identity-Status") == ["Confirmed" if token else "Invalid"]


@given(st.sampled_from(IDENTITY_NAMES), st.data())
def test_no_spelling_of_an_identity_field_arrives(name: str, data: st.DataObject) -> None:
    spelled = "".join(
        data.draw(
            st.sampled_from("-_") if letter == "-" else st.sampled_from([letter.lower(), letter.upper()])
        )
        for letter in name
    )
    made = asked(TOKEN, (spelled, "evil"))
    assert judge(SHARED, made) is None
    assert b"evil" not in [value for _, value in lines(made)]


SHARED = guard()


def test_another_spelling_of_the_token_field_never_arrives() -> None:
    made = asked(TOKEN, ("X_Auth_Token", "other"), ("x-auth_token", "other"))
    assert judge(guard(), made) is None
    assert made.request.headers.all("X-Auth-Token") == [TOKEN]
    assert b"other" not in [value for _, value in lines(made)]
    assert refused(judge(guard(), asked(None, ("X_Auth_Token", TOKEN)))).reason == "token_missing"


def test_an_unasked_service_token_never_arrives_whoever_judges_the_other() -> None:
    made = asked(TOKEN, ("X-Service-Token", "service"), ("X_Service_Token", "service"))
    assert judge(guard(), made) is None
    assert b"service" not in [value for _, value in lines(made)]


@pytest.mark.parametrize(("header", "arrives"), [("X-Auth-Token", True), ("X-Service-Token", False)])
def test_where_the_decision_is_delayed_no_service_token_goes_on_that_is_not_good(
    header: str, arrives: bool
) -> None:
    filter = guard(header=header, delay_auth_decision=True)
    made = asked(None, (header, "unknown"))
    assert judge(filter, made) is None
    assert made.request.headers.has(header) == arrives
    made = asked(None, (header, TOKEN))
    assert judge(filter, made) is None
    assert made.request.headers.all(header) == [TOKEN]


def test_a_refused_request_is_stripped_as_well() -> None:
    made = asked("bad", ("X-Roles", "admin"))
    assert refused(judge(guard(), made)).status == 401
    assert not made.request.headers.has("X-Roles")


# ---- refusals


@pytest.mark.parametrize(
    ("headers", "reason", "rule"),
    [
        ([], "token_missing", ("providers",)),
        ([("X-Auth-Token", "")], "token_missing", ("providers",)),
        ([("X-Auth-Token", " \t ")], "token_missing", ("providers",)),
        ([("X-Auth-Token", "unknown")], "token_invalid", ("providers",)),
        ([("X-Auth-Token", "t\xe9ken")], "token_invalid", ("providers",)),
        ([("X-Auth-Token", "x" * 8193)], "token_invalid", ("providers",)),
        ([("X-Auth-Token", "old")], "token_expired", ("providers", 0)),
        ([("X-Auth-Token", TOKEN), ("x-auth-token", TOKEN)], "token_ambiguous", ("providers",)),
    ],
)
def test_answers_401_with_a_challenge(headers: Iterable[tuple[str, str]], reason: str, rule: Any) -> None:
    fault = refused(judge(guard(auth_url="http://127.0.0.1:5000/v3"), exchange(headers=headers)))
    assert (fault.status, fault.reason, fault.rule) == (401, reason, rule)
    assert fault.headers == (("WWW-Authenticate", 'Keystone uri="http://127.0.0.1:5000/v3"'),)
    assert TOKEN not in fault.message


def test_a_section_that_comes_again_is_judged_as_the_first_time() -> None:
    services = FrozenServices(wall=NOW)
    filter = guard(services)
    first = Fields([(b"X-Auth-Token", TOKEN.encode()), (b"Accept", b"*/*")])
    forged = Fields([(b"X-Auth-Token", TOKEN.encode()), (b"X-Roles", b"admin")])
    for _ in range(3):
        for section in (first, forged):
            made = asked()
            made.request.headers = section.copy()
            assert judge(filter, made) is None
            assert made.request.headers.all("X-Roles") == ["member,reader"]
    services.revoke(Revocation(user_id=made.principal.user_id if made.principal else None))
    made = asked()
    made.request.headers = first.copy()
    assert judge(filter, made) is None
    note = made.trail[-1]
    assert isinstance(note, Note)
    assert note.facts is not None
    assert note.facts["cached"] is False


def test_a_section_that_comes_again_is_not_remembered_beyond_its_token() -> None:
    filter = guard(FrozenServices(wall=NOW), cache={"ttl": 10})
    section = Fields([(b"X-Auth-Token", TOKEN.encode())])
    cached = []
    for at in (0.0, 9.0, 11.0):
        made = asked(at=at)
        made.request.headers = section.copy()
        assert judge(filter, made) is None
        note = made.trail[-1]
        assert isinstance(note, Note)
        assert note.facts is not None
        cached.append(note.facts["cached"])
    assert cached == [False, True, False]


@pytest.mark.parametrize(
    ("lines", "token"),
    [
        ([("X-Storage-Token", TOKEN)], TOKEN),
        ([("X-Storage-Token", TOKEN), ("X-Auth-Token", "")], TOKEN),
        ([("X-Storage-Token", "bad"), ("X-Auth-Token", TOKEN)], TOKEN),
        ([("X-Storage-Token", TOKEN), ("X-Auth-Token", "bad")], None),
        ([("X-Storage-Token", TOKEN), ("X-Storage-Token", TOKEN)], None),
        ([("X_Storage_Token", TOKEN)], None),
    ],
)
def test_a_storage_token_stands_in_where_there_is_no_other(
    lines: list[tuple[str, str]], token: str | None
) -> None:
    made = exchange(headers=lines)
    verdict = judge(guard(), made)
    assert (verdict is None) is (token is not None)
    if token is not None:
        assert made.request.headers.all("X-Auth-Token") == [token]
    assert not made.request.headers.has("X_Storage_Token")
    assert not made.request.headers.has("X-Storage-Token")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer   {TOKEN} ", None),
        (f"BEARER {TOKEN}", None),
        ("Bearer bad", ("token_invalid", 'Bearer realm="weir", error="invalid_token"')),
        (f"Bearer {TOKEN} more", ("token_invalid", 'Bearer realm="weir", error="invalid_token"')),
        ("Bearer", ("token_missing", 'Bearer realm="weir"')),
        (f"Bearer\t{TOKEN}", ("token_missing", 'Bearer realm="weir"')),
        (TOKEN, ("token_missing", 'Bearer realm="weir"')),
        (f"Basic {TOKEN}", ("token_missing", 'Bearer realm="weir"')),
        ("", ("token_missing", 'Bearer realm="weir"')),
    ],
)
def test_in_authorization_a_token_is_a_bearer_token(value: str, told: tuple[str, str] | None) -> None:
    verdict = judge(guard(header="Authorization"), exchange(headers={"Authorization": value}))
    if told is None:
        assert verdict is None
    else:
        fault = refused(verdict)
        assert (fault.status, fault.reason, fault.headers) == (401, told[0], (("WWW-Authenticate", told[1]),))


def test_the_challenge_without_a_place_is_the_scheme_alone() -> None:
    assert refused(judge(guard(), asked("bad"))).headers == (("WWW-Authenticate", "Keystone"),)


def test_a_delayed_decision_passes_without_a_principal_and_says_so() -> None:
    filter = guard(delay_auth_decision=True)
    for token, because in ((None, "token_missing"), ("bad", "token_invalid"), ("old", "token_expired")):
        made = asked(token)
        assert judge(filter, made) is None
        assert made.principal is None
        assert made.request.headers.all("X-Identity-Status") == ["Invalid"]
        assert made.notes is not None
        assert made.notes[0].reason == "auth_decision_delayed"
        assert made.notes[0].facts["because"] == because


def test_a_delayed_decision_leaves_no_principal_that_an_earlier_filter_has_found() -> None:
    """The upstream is told that there is none."""
    for token in (None, "wrong"):
        made = asked(token)
        made.principal = Principal(user_id="earlier")
        assert judge(guard(delay_auth_decision=True), made) is None
        assert made.principal is None
        assert (b"X-Identity-Status", b"Invalid") in lines(made)


def test_a_delayed_decision_does_not_choose_between_two_tokens() -> None:
    made = asked(TOKEN, ("X-Auth-Token", "other"))
    assert refused(judge(guard(delay_auth_decision=True), made)).reason == "token_ambiguous"


def test_a_delayed_decision_and_a_token_that_stays_here() -> None:
    made = asked("bad")
    assert judge(guard(delay_auth_decision=True, forward_token=False), made) is None
    assert lines(made) == [(b"X-Identity-Status", b"Invalid")]


# ---- providers in order


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("answers", "status", "rule", "questions"),
    [
        ([None, SOMEBODY], None, None, [1, 1]),
        ([SOMEBODY, NO], None, None, [1, 0]),
        ([NO, SOMEBODY], 401, ("providers", 0), [1, 0]),
        ([None, NO], 401, ("providers", 1), [1, 1]),
        ([None, None], 401, ("providers",), [1, 1]),
        ([AWAY, SOMEBODY], None, None, [1, 1]),
        ([AWAY, None], 503, ("providers", 0), [1, 1]),
        ([None, AWAY], 503, ("providers", 1), [1, 1]),
        ([AWAY, NO], 401, ("providers", 1), [1, 1]),
    ],
)
def test_providers_are_asked_until_one_knows(
    answers: list[Answer], status: int | None, rule: Any, questions: list[int], waits: bool
) -> None:
    providers = [Asked(answer, waits=waits) for answer in answers]
    verdict = judge(asking(*providers), asked())
    if status is None:
        assert verdict is None
    else:
        assert (refused(verdict).status, refused(verdict).rule) == (status, rule)
    assert [provider.questions for provider in providers] == questions


def test_a_failure_is_503_with_the_time_to_wait_and_is_not_remembered() -> None:
    provider = Asked(AWAY, SOMEBODY)
    filter = asking(provider)
    fault = refused(judge(filter, asked()))
    assert (fault.status, fault.reason, fault.retry_after) == (503, "provider_unavailable", 7)
    assert fault.headers == ()
    assert judge(filter, asked()) is None
    assert refused(judge(asking(Asked(Unavailable(0))), asked())).retry_after == 1


def test_a_delayed_decision_passes_when_nobody_can_judge() -> None:
    made = asked()
    assert judge(asking(Asked(AWAY), delay_auth_decision=True), made) is None
    assert made.request.headers.get("X-Identity-Status") == "Invalid"
    assert made.notes is not None
    assert made.notes[0].facts == {"because": "provider_unavailable", "provider": "asked"}


def test_a_provider_that_answers_at_once_makes_no_coroutine() -> None:
    assert asking(Asked(None), Asked(SOMEBODY)).on_request(asked()) is None


def test_a_principal_that_cannot_travel_is_refused_with_a_warning() -> None:
    services = FrozenServices()
    filter = guard(services)
    filter._providers = (Asked(replace(SOMEBODY, user_name="a\r\nX-Roles: admin")),)
    made = asked()
    assert refused(judge(filter, made)).reason == "token_invalid"
    assert made.principal is None
    assert [event for event, _ in services.warnings] == ["token_claims_unusable"]
    assert "admin" not in repr(services.warnings)


async def test_providers_start_and_close_with_the_filter() -> None:
    provider = Asked(None)
    filter = asking(provider)
    await filter.start()
    await filter.close()
    assert provider.life == ["start", "close"]


def test_a_wrong_provider_is_told_with_its_place() -> None:
    with pytest.raises(OptionError, match=r"^cannot read none\.yaml") as caught:
        guard(providers=[*PROVIDERS, {"static": {"file": "none.yaml"}}])
    assert caught.value.rule == ("providers", 1, "static", "file")
    keys = [{"pem": "none.pem", "algorithms": ["ES256"]}]
    with pytest.raises(ValueError, match=r"^providers\[0\]\.jwt\.keys\[0\]\.pem: cannot read none\.pem"):
        guard(providers=[{"jwt": {"keys": keys}}])


# ---- memory


def test_an_accepted_token_is_trusted_for_the_ttl() -> None:
    provider = Asked(SOMEBODY, NO)
    filter = asking(provider, cache={"ttl": "300s"})
    assert judge(filter, asked()) is None
    assert judge(filter, asked(at=299.9)) is None
    assert provider.questions == 1
    assert refused(judge(filter, asked(at=300))).reason == "token_invalid"
    assert provider.questions == 2


def test_an_accepted_token_is_never_trusted_beyond_its_expiry() -> None:
    provider = Asked(replace(SOMEBODY, expires_at=NOW + 10.0), Refusal("token_expired"))
    filter = asking(provider)
    assert judge(filter, asked()) is None
    assert judge(filter, asked(at=9.9)) is None
    assert provider.questions == 1
    assert refused(judge(filter, asked(at=10))).reason == "token_expired"


def test_a_clock_set_forward_ends_a_token_in_memory() -> None:
    filter = asking(Asked(replace(SOMEBODY, expires_at=NOW + 10.0), Refusal("token_expired")))
    assert judge(filter, asked()) is None
    made = exchange(headers={"X-Auth-Token": TOKEN}, clock=Instant(NOW + 3600, 1000.0))
    assert refused(judge(filter, made)).reason == "token_expired"


def test_a_no_is_remembered_shortly() -> None:
    provider = Asked(NO, SOMEBODY)
    filter = asking(provider, cache={"negative_ttl": "5s"})
    assert refused(judge(filter, asked())).rule == ("providers", 0)
    assert refused(judge(filter, asked(at=4.9))).rule == ("providers", 0)
    assert provider.questions == 1
    assert judge(filter, asked(at=5)) is None


def test_a_no_that_may_become_a_yes_is_not_remembered() -> None:
    provider = Asked(Refusal("token_invalid", lasting=False), SOMEBODY)
    filter = asking(provider)
    assert refused(judge(filter, asked())).status == 401
    assert judge(filter, asked()) is None


def test_memory_may_be_turned_off() -> None:
    provider = Asked(SOMEBODY, NO, NO)
    filter = asking(provider, cache={"ttl": 0, "negative_ttl": 0})
    assert judge(filter, asked()) is None
    assert refused(judge(filter, asked())).status == 401
    assert refused(judge(filter, asked())).status == 401
    assert provider.questions == 3


def test_tokens_without_end_do_not_use_up_the_memory_or_push_out_good_ones() -> None:
    provider = Asked(SOMEBODY, *[NO] * 500)
    filter = asking(provider, cache={"size": 4, "negative_size": 4})
    assert judge(filter, asked("good")) is None
    for number in range(400):
        assert refused(judge(filter, asked(f"bad{number}"))).status == 401
    assert len(filter._cache.refused) == 4
    assert judge(filter, asked("good")) is None
    assert provider.questions == 401


def test_memory_outlives_the_filter_until_what_is_trusted_changes(tmp_path: Path) -> None:
    services = FrozenServices(directory=tmp_path)
    options = {"providers": [{"static": {"file": "tokens.yaml"}}]}
    (tmp_path / "tokens.yaml").write_text(f"- {{token: {TOKEN}, user_id: u1}}")
    first = build(TokenAuth, options, services)
    assert judge(first, asked()) is None
    again = build(TokenAuth, options, services)
    assert again._cache is first._cache
    (tmp_path / "tokens.yaml").write_text("- {token: another, user_id: u1}")
    revoked = build(TokenAuth, options, services)
    assert refused(judge(revoked, asked())).reason == "token_invalid"


def test_no_token_is_kept_in_memory() -> None:
    filter = guard()
    assert judge(filter, asked()) is None
    assert refused(judge(filter, asked("unknown-token"))).status == 401
    kept = repr(list(filter._cache.accepted.items())) + repr(list(filter._cache.refused.items()))
    assert TOKEN not in kept
    assert "unknown-token" not in kept


def test_in_shadow_the_real_request_is_left_alone() -> None:
    made = asked(TOKEN, ("X-Roles", "admin"))
    shadow = ShadowExchange(made, made.request.body)
    assert guard().on_request(shadow) is None
    assert shadow.request.headers.all("X-Roles") == ["member,reader"]
    assert shadow.principal is not None
    assert made.principal is None
    assert lines(made) == [(b"X-Auth-Token", TOKEN.encode()), (b"X-Roles", b"admin")]


@given(st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\r\n\0")))
def test_no_bytes_in_the_field_raise(raw: bytes) -> None:
    made = exchange(headers=[("X-Auth-Token", raw.decode("latin-1"))])
    verdict = judge(SHARED, made)
    assert isinstance(verdict, Fault)
    assert verdict.status == 401


def test_an_entry_without_expiry_never_ends() -> None:
    filter = guard()
    assert judge(filter, asked()) is None
    ((_, accepted),) = filter._cache.accepted.items()
    assert accepted.expires == inf


# ---- a client's certificate


OURS = Certificate("CN=service", "service", fingerprint="0" * 64, expires_at=NOW + 60.0)
OTHER = Certificate("CN=other", "other", fingerprint="1" * 64, expires_at=NOW + 60.0)
BY_CERTIFICATE: dict[str, Any] = {"mtls": {"allow": ["service"], "roles": ["service"]}}
FIRST = [BY_CERTIFICATE, *PROVIDERS]
LAST = [*PROVIDERS, BY_CERTIFICATE]


def known(certificate: Certificate | None, token: str | None = None, at: float = 0.0) -> Exchange:
    made = asked(token, at=at)
    made.certificate = certificate
    return made


def named(filter: TokenAuth, made: Exchange) -> str:
    """The user that the filter finds, or the reason why it finds none."""
    verdict = judge(filter, made)
    if verdict is None:
        assert made.principal is not None and made.principal.user_id is not None
        assert made.request.headers.all("X-User-Id") == [made.principal.user_id]
        return made.principal.user_id
    return refused(verdict).reason


@pytest.mark.parametrize(
    ("providers", "certificate", "token", "outcome"),
    [
        (FIRST, OURS, None, "service"),
        (FIRST, OURS, TOKEN, "service"),
        (FIRST, OURS, "bad", "service"),
        (FIRST, OTHER, None, "certificate_unknown"),
        (FIRST, OTHER, TOKEN, "u1"),
        (FIRST, OTHER, "bad", "token_invalid"),
        (FIRST, None, None, "token_missing"),
        (FIRST, None, TOKEN, "u1"),
        (LAST, OURS, None, "service"),
        (LAST, OURS, TOKEN, "u1"),
        (LAST, OURS, "bad", "service"),
        (LAST, OURS, "old", "token_expired"),
        (LAST, OURS, "t" * 9000, "service"),
        (LAST, OURS, "\xe4", "service"),
        (LAST, OTHER, "t" * 9000, "certificate_unknown"),
        (LAST, None, "bad", "token_invalid"),
    ],
)
def test_providers_are_asked_in_order_whatever_is_remembered(
    providers: list[Any], certificate: Certificate | None, token: str | None, outcome: str
) -> None:
    filter = build(TokenAuth, {"providers": providers})
    # What is remembered of other clients with the same token, or the same certificate, says nothing of this one.
    others = [(one, other) for one in (None, OURS, OTHER) for other in (None, TOKEN, "bad")]
    for _ in range(2):
        assert named(filter, known(certificate, token)) == outcome
        for one, other in others:
            judge(filter, known(one, other))


def test_a_certificate_is_remembered_with_all_that_a_request_needs() -> None:
    filter = build(TokenAuth, {"providers": FIRST})
    first, second = known(OURS, TOKEN), known(OURS, TOKEN)
    assert named(filter, first) == named(filter, second) == "service"
    assert first.principal == second.principal
    assert first.principal is not None
    assert first.principal.token_key == FrozenServices().keyed_hash(b"certificate " + b"0" * 64)
    assert [made.notes[0].facts["cached"] for made in (first, second)] == [False, True]
    assert {made.notes[0].reason for made in (first, second)} == {"certificate_accepted"}
    for made in (first, second):
        # Nobody has judged the token.
        assert not made.request.headers.has("X-Auth-Token")


def test_a_certificate_that_ends_is_accepted_no_longer() -> None:
    filter = build(TokenAuth, {"providers": FIRST})
    assert named(filter, known(OURS)) == "service"
    assert named(filter, known(OURS, at=59.0)) == "service"
    assert named(filter, known(OURS, at=60.0)) == "certificate_expired"
    assert named(filter, known(OURS, at=61.0)) == "certificate_expired"


def test_no_token_can_pass_for_a_certificate_that_is_remembered() -> None:
    filter = build(TokenAuth, {"providers": FIRST})
    assert named(filter, known(OURS)) == "service"
    for token in ("0" * 64, "certificate " + "0" * 64):
        assert named(filter, known(None, token)) == "token_invalid"


def test_two_tokens_are_too_many_beside_a_certificate_as_well() -> None:
    made = asked(TOKEN, ("X-Auth-Token", "another"))
    made.certificate = OURS
    assert refused(judge(build(TokenAuth, {"providers": FIRST}), made)).reason == "token_ambiguous"


def test_a_delayed_decision_lets_an_unknown_certificate_pass_marked() -> None:
    made = known(OTHER)
    assert judge(build(TokenAuth, {"providers": FIRST, "delay_auth_decision": True}), made) is None
    assert made.principal is None
    assert made.request.headers.get("X-Identity-Status") == "Invalid"


def test_a_name_that_cannot_travel_is_refused() -> None:
    services = FrozenServices()
    filter = build(TokenAuth, {"providers": [{"mtls": None}]}, services)
    odd = Certificate("CN=a", "a\r\nX-Roles: admin", fingerprint="2" * 64, expires_at=NOW + 60.0)
    assert refused(judge(filter, known(odd))).status == 401
    assert [event for event, _ in services.warnings] == ["token_claims_unusable"]


def test_without_such_a_provider_certificates_are_not_looked_at() -> None:
    made = known(OURS)
    assert refused(judge(guard(), made)).reason == "token_missing"
    assert CERTIFICATE not in guard().config.reads()
    assert CERTIFICATE in build(TokenAuth, {"providers": FIRST}).config.reads()


async def test_a_certificate_is_asked_after_a_provider_that_must_wait() -> None:
    waits = Asked(None, waits=True)
    filter = build(TokenAuth, {"providers": [BY_CERTIFICATE]})
    filter._providers = (waits, *filter._providers)
    made = known(OURS, "unknown")
    verdict = filter.on_request(made)
    assert isinstance(verdict, Awaitable)
    assert await verdict is None
    assert made.principal is not None and made.principal.user_id == "service"
    assert waits.questions == 1
