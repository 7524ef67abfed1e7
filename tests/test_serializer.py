"""Records as lines of the request log."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import Certificate, Note, Principal
from gateway.record import Peer, Record
from gateway.redaction import Redaction
from gateway.serializer import Serializer, rule_text
from gateway.trace import TraceSource
from tests.support.records import ALICE, REQUEST_ID, Entry, Facts, attempt, record, step

KEY = b"k" * 32
TOKEN = b"gAAAAABl-secret_token.of-the-day"


def line(told: Record, sequence: int = 1) -> dict[str, Any]:
    text = Serializer(KEY, 3).line(told, sequence)
    assert text.endswith(b"}\n")
    assert text.count(b"\n") == 1
    fields = orjson.loads(text)
    assert isinstance(fields, dict)
    return fields


def keyed(value: bytes) -> str:
    return hmac.new(KEY, value, hashlib.sha256).hexdigest()[:32]


# ---- the line


def test_a_traced_exchange_has_the_ids_of_its_span_and_another_has_none() -> None:
    told = record()
    assert not {"trace_id", "span_id"} & line(told).keys()
    told.trace = trace = TraceSource("always", 1.0).trace({}, False)
    fields = line(told)
    assert (fields["trace_id"], fields["span_id"]) == (trace.trace_id, trace.span_id)


def test_others_that_are_under_way_are_told_by_the_oldest() -> None:
    told = record()
    assert "gateway.under_way_ms" not in line(told)
    told.under_way = 1.5
    assert line(told)["gateway.under_way_ms"] == 1500.0


def test_a_forwarded_exchange_has_the_names_of_the_conventions() -> None:
    fields = line(
        record(
            target=b"/v2/p-1/images?limit=5",
            principal=ALICE,
            request_lines=((b"User-Agent", b"novaclient/1"), (b"Content-Length", b"12")),
            attempts=[
                attempt(error="upstream_connect_failed", detail='50% of "it"', status=0, first_byte=None),
                attempt(reused=True, peer="192.0.2.1"),
            ],
            global_id="req-11111111-31e7-49b7-b260-868f441e862b",
            upstream_request_id="req-22222222-31e7-49b7-b260-868f441e862b",
            bytes_in=12,
        ),
        7,
    )
    steps = fields.pop("gateway.filters")
    facts = fields.pop("gateway.facts")
    assert fields == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "kind": "request",
        "record_version": 2,
        "http.request.method": "GET",
        "http.route": "/v2/{project_id}/images",
        "http.response.status_code": 200,
        "http.request.body.size": 12,
        "http.response.body.size": 870,
        "url.scheme": "http",
        "url.path": "/v2/p-1/images",
        "url.query": "limit=5",
        "client.address": "198.51.100.9",
        "network.peer.address": "192.0.2.7",
        "network.peer.port": 54321,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "server.address": "api.example",
        "server.port": 8080,
        "user_agent.original": "novaclient/1",
        "user.id": "u-1",
        "user.name": "alice",
        "user.roles": ["member", "reader"],
        "gateway.project.id": "p-1",
        "gateway.project.name": "demo",
        "gateway.route": "images",
        "gateway.request_id": REQUEST_ID,
        "gateway.global_request_id": "req-11111111-31e7-49b7-b260-868f441e862b",
        "gateway.upstream.request_id": "req-22222222-31e7-49b7-b260-868f441e862b",
        "gateway.upstream.name": "compute",
        "gateway.upstream.address": "127.0.0.1:8774",
        "gateway.upstream.attempts": [
            {
                "upstream": "compute",
                "address": "127.0.0.1:8774",
                "reused": False,
                "connect_ms": 1.0,
                "total_ms": 3.0,
                "error": "upstream_connect_failed",
                "detail": '50% of "it"',
            },
            {
                "upstream": "compute",
                "address": "127.0.0.1:8774",
                "peer": "192.0.2.1",
                "reused": True,
                "connect_ms": 1.0,
                "first_byte_ms": 2.0,
                "body_ms": 1.0,
                "total_ms": 3.0,
                "status": 200,
            },
        ],
        "gateway.decision": "forward",
        "gateway.reason": "passed",
        "gateway.duration_ms": 12.5,
        "gateway.chain.in_ms": 1.0,
        "gateway.chain.out_ms": 0.5,
        "gateway.revision": "abc123",
        "gateway.worker": 3,
        "gateway.sequence": 7,
    }
    assert steps == []
    assert facts == {
        "method": "GET",
        "target": "/v2/p-1/images?limit=5",
        "scheme": "http",
        "host": "api.example:8080",
        "client": "198.51.100.9",
        "peer": "192.0.2.7",
        "clock": 1_700_000_000.25,
        "content_length": 12,
        "headers": {},
        "principal": {
            "user_id": "u-1",
            "user_name": "alice",
            "project_id": "p-1",
            "project_name": "demo",
            "roles": ["member", "reader"],
            "provider": "",
        },
    }


def test_a_client_is_told_by_its_certificate_and_a_balancer_by_its_address() -> None:
    told = record(peer="192.0.2.7", client="192.0.2.7", scheme="https")
    certificate = Certificate(
        "CN=a\\, b,O=\u00e4\u202e",
        "a, b",
        dns=("a.test",),
        fingerprint="0a" * 32,
        expires_at=1_800_000_000.0,
    )
    told.peer = Peer("192.0.2.7", 4711, "https", "10.0.0.9", "1.3", certificate)
    fields = line(told)
    assert fields["gateway.proxy.address"] == "10.0.0.9"
    assert fields["network.peer.address"] == "192.0.2.7"
    assert fields["network.peer.port"] == 4711
    assert fields["tls.protocol.version"] == "1.3"
    assert fields["tls.client.subject"] == certificate.subject
    assert fields["tls.client.hash.sha256"] == "0A" * 32
    assert fields["gateway.facts"]["certificate"] == {
        "subject": certificate.subject,
        "common_name": "a, b",
        "dns": ["a.test"],
        "fingerprint": "0a" * 32,
        "expires_at": 1_800_000_000.0,
    }


def test_a_token_that_stands_in_a_subject_is_not_in_the_line() -> None:
    told = record(request_lines=((b"X-Auth-Token", TOKEN),))
    told.peer = Peer("192.0.2.7", 1, "https", None, "1.3", Certificate(f"CN={TOKEN.decode()}"))
    text = Serializer(KEY, 3).line(told, 1)
    assert TOKEN not in text
    assert orjson.loads(text)["tls.client.subject"].startswith("CN=")


def test_a_refusal_names_the_filter_and_the_line_of_the_rule_that_decided() -> None:
    limiter = Entry("project-limit", "rate_limit", line=20)
    facts = {"limit": "per-project", "cost": 1}
    decider = step(
        limiter, "refuse", "rate_limited", rule=("limits", 2), seconds=0.00025, status=413, facts=facts
    )
    passed = step("methods", seconds=0.000_001)
    fields = line(
        record(status=413, decision="refuse", reason="rate_limited", decider=decider, steps=[passed, decider])
    )
    assert fields["gateway.filter"] == "project-limit"
    assert fields["gateway.source"] == "gateway.yaml:20:11"
    assert fields["error.type"] == "rate_limited"
    assert fields["gateway.filters"] == [
        {
            "name": "methods",
            "type": "methods",
            "mode": "enforce",
            "phase": "request",
            "verdict": "pass",
            "source": "gateway.yaml:12:7",
            "ms": 0.001,
        },
        {
            "name": "project-limit",
            "type": "rate_limit",
            "mode": "enforce",
            "phase": "request",
            "verdict": "refuse",
            "reason": "rate_limited",
            "status": 413,
            "rule": "limits[2]",
            "source": "gateway.yaml:20:11",
            "ms": 0.25,
            "facts": facts,
        },
    ]


def test_a_pass_says_why_with_its_notes() -> None:
    notes = [
        Note("token_accepted", ("providers", 0), {"provider": "static"}),
        Note("auth_decision_delayed", (), {}),
    ]
    (told,) = line(record(steps=[step("token_auth", note=notes)]))["gateway.filters"]
    assert told["reason"] == "token_accepted"
    assert told["rule"] == "providers[0]"
    assert told["facts"] == {"provider": "static"}
    assert told["notes"] == [{"reason": "auth_decision_delayed", "source": "gateway.yaml:12:7"}]


def test_a_refusal_keeps_its_own_reason_beside_notes() -> None:
    notes = [Note("auth_decision_delayed", (), {"seen": True})]
    (told,) = line(record(steps=[step("x", "refuse", "token_missing", status=401, note=notes)]))[
        "gateway.filters"
    ]
    assert told["reason"] == "token_missing"
    assert told["notes"] == [
        {"reason": "auth_decision_delayed", "source": "gateway.yaml:12:7", "facts": {"seen": True}}
    ]


def test_a_shadow_filter_is_marked() -> None:
    shadow = step(Entry("try", "methods", "shadow"), "refuse", "method_not_allowed", status=405)
    (told,) = line(record(steps=[shadow]))["gateway.filters"]
    assert told["shadow"] is True
    (told,) = line(record(steps=[step("methods")]))["gateway.filters"]
    assert "shadow" not in told


def test_one_entry_with_two_outcomes_is_told_twice() -> None:
    entry = Entry("headers")
    serializer = Serializer(KEY, 0)
    for verdict, phase in (("pass", "request"), ("error", "response"), ("pass", "request")):
        fields = orjson.loads(serializer.line(record(steps=[step(entry, verdict, phase=phase)]), 1))
        assert (fields["gateway.filters"][0]["verdict"], fields["gateway.filters"][0]["phase"]) == (
            verdict,
            phase,
        )


trails = st.lists(
    st.one_of(
        st.integers(0, 10**7).map(lambda micro: micro * 1e-6),
        st.builds(lambda cost: Note("rate_counted", ("limits",), {"cost": cost}), st.integers(0, 9)),
        st.none(),
        st.builds(
            lambda entry, verdict, facts: step(entry, verdict, "why" if facts else None, facts=facts),
            st.sampled_from((Entry("tried", mode="shadow"), Entry("methods"))),
            st.sampled_from(("pass", "refuse", "skip")),
            st.one_of(st.none(), st.dictionaries(st.sampled_from(("a", "b")), st.integers(0, 9))),
        ),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(trails)
def test_what_a_line_says_of_steps_is_what_the_trail_is_read_as(trail: list[Any]) -> None:
    instant, ordered = 0.0, []
    for item in trail:
        instant += item if isinstance(item, float) else 0.0
        ordered.append(instant if isinstance(item, float) else item)
    told = record(steps=ordered, guards=[Entry(f"guard-{number}") for number in range(8)])
    steps = line(told)["gateway.filters"]
    assert [(each["name"], each["verdict"]) for each in steps] == [
        (each.entry.name, each.verdict) for each in told.steps
    ]
    for each, known in zip(steps, told.steps, strict=True):
        notes = list(known.note or ())
        facts = known.facts or (notes.pop(0).facts if notes and known.reason is None else None)
        assert each.get("facts") == (facts or None)
        assert len(each.get("notes", ())) == len(notes)
        assert each["ms"] == pytest.approx(known.seconds * 1000, abs=0.0011)


def test_an_exchange_without_an_answer_has_no_status() -> None:
    fields = line(record(status=0, decision="abort", reason="client_disconnected", route_template=None))
    assert "http.response.status_code" not in fields
    assert "http.route" not in fields
    assert fields["error.type"] == "client_disconnected"


def test_an_unknown_method_is_other_and_keeps_its_name() -> None:
    fields = line(record(method="BREW"))
    assert fields["http.request.method"] == "_OTHER"
    assert fields["http.request.method_original"] == "BREW"
    assert fields["gateway.facts"]["method"] == "BREW"


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("a.example:80", "a.example", 80),
        ("a.example", "a.example", None),
        ("a.example:", "a.example", None),
        ("a.example:http", "a.example", None),
        ("a.example:" + "9" * 5000, "a.example", None),
        ("a.example:\u0661", "a.example", None),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("u:pw@a.example", "a.example", None),
        ("u:99@a.example:8080", "a.example", 8080),
        ("", "", None),
    ],
)
def test_the_host_is_told_as_address_and_port(host: str, name: str, port: int | None) -> None:
    fields = line(record(host=host))
    assert (fields["server.address"], fields.get("server.port")) == (name, port)
    assert "pw" not in json.dumps(fields)


def test_facts_hold_the_declared_headers_and_no_others() -> None:
    lines = (
        (b"X-Trace", b"on"),
        (b"x-tag", b"one"),
        (b"X-Tag", b"tw\xf6"),
        (b"Content-Type", b"application/json"),
        (b"X-Auth-Token", TOKEN),
    )
    facts = line(record(request_lines=lines, plan=Facts((b"x-tag", b"x-auth-token", b"absent"))))[
        "gateway.facts"
    ]
    assert facts["headers"] == {"x-tag": ["one", "tw\xf6"], "x-auth-token": {"hash": keyed(TOKEN)}}
    assert facts["content_type"] == "application/json"


def test_facts_hold_no_header_that_connection_keeps_from_the_filters() -> None:
    def told(*connection: bytes) -> Any:
        lines = ((b"Connection", value) for value in connection)
        fields = ((b"X-Color", b"red"), (b"Content-Type", b"a/b"), (b"Keep-Alive", b"5"), *lines)
        plan = Facts(header_names=(b"x-color", b"keep-alive", b"authorization"))
        facts = line(record(request_lines=((b"Authorization", b"Bearer abcdefgh"), *fields), plan=plan))[
            "gateway.facts"
        ]
        return sorted(facts["headers"]), facts.get("content_type")

    assert told(b"keep-alive") == (["authorization", "keep-alive", "x-color"], "a/b")
    assert told(b"close, X-Color") == (["authorization", "keep-alive"], "a/b")
    assert told(b"close", b"x-color , Content-Type, Authorization") == (["authorization", "keep-alive"], None)


def test_each_record_is_told_by_the_declarations_of_its_own_plan() -> None:
    serializer = Serializer(KEY, 0)
    lines = ((b"X-Tag", b"one"),)
    told = [
        orjson.loads(serializer.line(record(request_lines=lines, plan=Facts(names)), 1))["gateway.facts"][
            "headers"
        ]
        for names in ((), (b"x-tag",), ())
    ]
    assert told == [{}, {"x-tag": "one"}, {}]


def test_a_content_length_that_is_no_number_is_told_as_text() -> None:
    for value in (b"12a", b"9" * 5000, b"-1"):
        facts = line(record(request_lines=((b"Content-Length", value),)))["gateway.facts"]
        assert facts["content_length"] == value.decode()


# ---- secrets


@pytest.mark.parametrize(
    "changes",
    [
        {"target": b"/v2/" + TOKEN + b"/images"},
        {"target": b"/v2/x?q=" + TOKEN},
        {"target": b"/v2/" + TOKEN.replace(b"s", b"%73")},
        {"host": TOKEN.decode()},
        {"method": TOKEN.decode()},
        {"request_lines": ((b"X-Auth-Token", TOKEN), (b"User-Agent", b"curl " + TOKEN))},
        {"request_lines": ((b"X-Auth-Token", TOKEN), (b"X-Tag", TOKEN))},
        {"principal": Principal(TOKEN.decode(), TOKEN.decode(), roles=(TOKEN.decode(),))},
        {"steps": [step("x", "refuse", "token_invalid", facts={"said": TOKEN.decode(), TOKEN.decode(): 1})]},
        {"steps": [step("x", "refuse", "a", note=[Note("b", (), {"said": ["-" + TOKEN.decode()]})])]},
        {"upstream_request_id": TOKEN.decode()},
    ],
)
def test_a_token_is_nowhere_in_the_line(changes: Mapping[str, Any]) -> None:
    told = record(**{"request_lines": ((b"x-auth-token", TOKEN),), "plan": Facts((b"x-tag",)), **changes})
    text = Serializer(KEY, 0).line(told, 1)
    assert TOKEN not in text
    assert orjson.loads(text)["gateway.request_id"] == REQUEST_ID


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        (b"Authorization", b"Bearer abcdef0123456789", b"abcdef0123456789"),
        (b"Cookie", b"a=1; session=abcdef0123456789", b"abcdef0123456789"),
        (b"Api-Key", b"abcdef0123456789", b"abcdef0123456789"),
    ],
)
def test_a_credential_inside_a_field_is_found_again_in_the_path(
    name: bytes, value: bytes, secret: bytes
) -> None:
    fields = line(record(target=b"/x/" + secret, request_lines=((name, value),)))
    assert fields["url.path"] == "/x/[redacted]"
    assert fields["gateway.facts"]["redacted"] is True


def test_a_token_that_reads_like_a_field_leaves_the_record_whole() -> None:
    for token in (
        b"2023-11-14T22",
        b"request_id",
        b"gateway.",
        b'"kind":"request"',
        b"passed,...",
        b"record_version",
    ):
        fields = line(record(target=b"/x/" + token, request_lines=((b"X-Auth-Token", token),)))
        assert fields["timestamp"] == "2023-11-14T22:13:20.250Z"
        assert fields["gateway.request_id"] == REQUEST_ID
        assert fields["url.path"] == "/x/[redacted]"


def test_secret_query_keys_are_redacted_in_the_facts_too() -> None:
    fields = line(record(target=b"/x?token=abc&limit=1"))
    assert fields["url.query"] == "token=[redacted]&limit=1"
    assert fields["gateway.facts"]["target"] == "/x?token=[redacted]&limit=1"
    assert fields["gateway.facts"]["redacted"] is True


HEADERS = st.sampled_from(
    [b"X-Auth-Token", b"authorization", b"Cookie", b"X-Service-Token", b"X-Api-Key", b"X-Subject-Token"]
)
# No vocabulary of ours is among these, so that a hit in the line can only be a leak.
SECRETS = st.binary(min_size=6, max_size=24).map(lambda tail: b"\xa7Q7" + tail.strip() + b"zQ!7")


@settings(max_examples=300)
@given(
    target=st.binary(max_size=60),
    headers=st.lists(
        st.tuples(st.one_of(HEADERS, st.binary(max_size=12)), st.binary(max_size=30)), max_size=5
    ),
    name=HEADERS,
    secret=SECRETS,
    where=st.integers(0, 3),
    text=st.text(max_size=20),
)
def test_any_bytes_give_one_valid_line_without_any_secret(
    target: bytes,
    headers: list[tuple[bytes, bytes]],
    name: bytes,
    secret: bytes,
    where: int,
    text: str,
) -> None:
    if where & 1:
        target += secret
    lines = [*headers, (name, secret)]
    if where & 2:
        lines.append((b"User-Agent", b"x " + secret))
    told = record(
        target=target,
        method=text,
        host=text,
        client=text,
        request_lines=tuple(lines),
        plan=Facts((b"user-agent", name.lower(), *(field.lower() for field, _ in headers))),
        steps=[step("x", note=[Note("passed", (), {text: text})])],
    )
    written = Serializer(KEY, 0).line(told, 1)
    assert written.endswith(b"\n")
    assert len(written.splitlines()) == 1
    assert len(written.decode("utf-8").splitlines()) == 1
    fields = json.loads(written)
    assert fields["gateway.sequence"] == 1
    assert "gateway.record_error" not in fields
    everything = json.dumps(fields, ensure_ascii=False)
    for form in (secret.decode("latin-1"), secret.decode("utf-8", "backslashreplace")):
        assert form not in everything
        assert json.dumps(form, ensure_ascii=False)[1:-1] not in everything
    assert b"Q!7" not in written


# Lines of one header section have much in common, which is looked at once: another line must not be told by it.
VARIANTS = st.fixed_dictionaries(
    {
        "target": st.sampled_from((b"/a", b"/b?token=abc", b"/" + TOKEN, b"/\xff", b'/"', b"/a@b", b"/%20")),
        "principal": st.sampled_from(
            (None, ALICE, Principal(user_id="\x85\u2028", token_key=TOKEN.decode()))
        ),
        "route_name": st.sampled_from(("one", "two")),
        "steps": st.lists(
            st.one_of(
                st.sampled_from(
                    (
                        1.0,
                        2.5,
                        Note("token_accepted", ("providers", 0), {"cached": True}),
                        Note("rate_counted", (), {"seen": TOKEN.decode()}),
                        Note("rate_counted", (), {"odd": "\x7f\u2029"}),
                    )
                ),
                st.builds(lambda cost: Note("rate_counted", (), {"cost": cost}), st.integers(0, 9)),
            ),
            max_size=6,
        ),
        "global_id": st.sampled_from((None, REQUEST_ID)),
        "upstream_request_id": st.sampled_from((None, TOKEN.decode())),
        "attempts": st.sampled_from(((), (attempt(),), (attempt(error="a", detail=TOKEN.decode()),))),
    }
)


@settings(max_examples=300, deadline=None)
@given(
    variants=st.lists(VARIANTS, min_size=1, max_size=3),
    order=st.lists(st.integers(0, 2), min_size=2, max_size=8),
    field=st.sampled_from((b"X-Auth-Token", b"X-Other", b"User-Agent")),
    value=st.sampled_from((TOKEN, b"s", TOKEN + b'"\xff', b"gateway.facts")),
)
def test_a_line_is_the_same_whatever_was_told_of_its_header_section_before(
    variants: list[dict[str, Any]], order: list[int], field: bytes, value: bytes
) -> None:
    guards = [Entry(f"guard-{number}") for number in range(6)]
    plan = Facts((b"x-auth-token",))
    records = [record(request_lines=((field, value),), guards=guards, plan=plan, **one) for one in variants]
    alone = [Serializer(KEY, 0).line(told, 1) for told in records]
    received = records[0].received
    received.told = received.flow = None
    for told in records:
        told.received = received
    serializer = Serializer(KEY, 0)
    for number in order:
        assert serializer.line(records[number % len(records)], 1) == alone[number % len(records)]


# ---- text that could do harm


def test_bytes_that_do_not_print_are_escaped() -> None:
    fields = line(
        record(target=b"/\xff\x1b[31m/\xc3\xa9\xe2\x80\xa8", request_lines=((b"User-Agent", b"a\tb\x9b"),))
    )
    assert fields["url.path"] == "/\\xff\\x1b[31m/\xe9\\u2028"
    assert fields["user_agent.original"] == "a\\tb\\x9b"
    assert fields["gateway.facts"]["target"].encode("latin-1") == b"/\xff\x1b[31m/\xc3\xa9\xe2\x80\xa8"


def test_no_control_character_stands_in_the_line_as_it_is() -> None:
    risky = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)))
    text = Serializer(KEY, 0).line(record(host=risky), 1)
    assert text.decode().rstrip("\n").isprintable()
    assert orjson.loads(text)["gateway.facts"]["host"] == risky


class Odd:
    def __str__(self) -> str:
        return "odd"


def test_whatever_a_filter_tells_becomes_json() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    told: dict[Any, object] = {
        "surrogate": "\ud800",
        "huge": 2**70,
        "object": Odd(),
        5: {"a"},
        "cycle": cycle,
        "nan": float("nan"),
    }
    (step_told,) = line(record(steps=[step("x", note=[Note("passed", (), told)])]))["gateway.filters"]
    assert step_told["facts"]["surrogate"] == "\\ud800"
    assert step_told["facts"]["huge"] == str(2**70)
    assert step_told["facts"]["object"] == "odd"
    assert step_told["facts"]["5"] == ["a"]


def test_a_record_that_cannot_be_told_says_so() -> None:
    class Broken(Entry):
        def source(self, rule: Any) -> str:
            raise RuntimeError("no")

    fields = line(record(steps=[step(Broken("x"))]), 9)
    assert fields["gateway.record_error"] == "RuntimeError"
    assert fields["gateway.request_id"] == REQUEST_ID
    assert fields["gateway.sequence"] == 9


def test_rules_are_written_as_people_write_them() -> None:
    assert rule_text(()) == ""
    assert rule_text(("limits", 2, "rate")) == "limits[2].rate"


# ---- the writer


def test_a_field_that_a_filter_calls_a_credential_is_one_whatever_its_name() -> None:
    facts = Facts(header_names=(b"x-session",), secret_names=frozenset((b"x-session",)))
    told = record(
        request_lines=((b"X-Session", b"supersecretvalue123"),),
        target=b"/a/supersecretvalue123",
        plan=facts,
    )
    text = Serializer(KEY, 0).line(told, 1)
    assert b"supersecretvalue123" not in text
    assert json.loads(text)["gateway.facts"]["headers"] == {
        "x-session": {"hash": keyed(b"supersecretvalue123")}
    }


def test_an_upstreams_own_refusal_has_its_status_as_the_error_type() -> None:
    assert line(record(status=500, reason="passed"))["error.type"] == "500"
    assert line(record(status=413, reason="rate_limited", decision="refuse"))["error.type"] == "rate_limited"


# ---- redaction that the configuration adds

_PLACED = Redaction(["x-tenant"], ["email"], ["user_id"], ["/users/{user_id}"])


def test_a_path_parameter_that_is_secret_is_nowhere_in_the_line() -> None:
    told = record(
        target=b"/users/alice%2d0123?email=me%40example.org",
        route_template="/users/{user_id}",
        plan=Facts((b"referer",), redaction=_PLACED),
        request_lines=((b"Referer", b"https://x.test/users/alice-0123?token=abcdef"),),
        principal=Principal("alice-0123", "alice"),
        steps=[
            step("uuid", note=[Note("rate_counted", ("limits",), {"key": "alice-0123", "alice-0123": 1})])
        ],
    )
    fields = line(told)
    assert "alice" not in json.dumps({**fields, "user.name": None, "gateway.facts": None})
    assert fields["url.path"] == "/users/[redacted]"
    assert fields["url.query"] == "email=[redacted]"
    assert fields["user.id"] == "[redacted]"
    facts = fields["gateway.facts"]
    assert facts["target"] == "/users/[redacted]?email=[redacted]"
    assert facts["headers"] == {"referer": "https://x.test/users/[redacted]?token=[redacted]"}
    assert facts["redacted"] is True


def test_a_short_one_is_left_out_where_it_is_the_whole_of_a_fact() -> None:
    told = record(
        target=b"/users/7",
        route_template="/users/{user_id}",
        plan=Facts(redaction=_PLACED),
        steps=[step("uuid", note=[Note("rate_counted", (), {"user": "7", "limit": "17"})])],
    )
    fields = line(told)
    assert fields["url.path"] == "/users/[redacted]"
    assert fields["gateway.filters"][0]["facts"] == {"user": "[redacted]", "limit": "17"}


def test_what_stands_beside_is_told_as_it_is() -> None:
    told = record(target=b"/images/7", route_template="/images/{id}", plan=Facts(redaction=_PLACED))
    assert line(told)["url.path"] == "/images/7"
    assert "redacted" not in line(told)["gateway.facts"]


@settings(max_examples=300)
@given(
    value=st.binary(min_size=8, max_size=24),
    place=st.sampled_from(["header", "query", "param"]),
    escapes=st.lists(st.booleans(), min_size=24, max_size=24),
    case=st.sampled_from([bytes.lower, bytes.upper, bytes.title]),
    noise=st.binary(max_size=10),
)
def test_no_value_that_the_configuration_calls_secret_is_anywhere_in_the_line(
    value: bytes, place: str, escapes: list[bool], case: Callable[[bytes], bytes], noise: bytes
) -> None:
    value = b"\xc3\xa4Q!7" + value  # of bytes that nothing else in the line has
    written = b"".join(
        bytes([byte]) if not escape and chr(byte).isalnum() and byte < 128 else b"%%%02x" % byte
        for byte, escape in zip(value, [*escapes, *escapes], strict=False)
    )
    target = b"/users/" + (written if place == "param" else b"bob")
    if place == "query":
        target += b"?a=b&" + case(b"email") + b"=" + written
    lines = [(b"User-Agent", noise + value), (b"X-Note", noise + written)]
    if place == "header":
        lines.append((case(b"x-tenant"), value))
    text = value.decode("utf-8", "backslashreplace")
    told = record(
        target=target,
        route_template="/users/{user_id}",
        plan=Facts((b"x-note", b"x-tenant", b"user-agent"), redaction=_PLACED),
        request_lines=tuple(lines),
        principal=Principal(text),
        steps=[step("x", note=[Note("passed", (), {"value": text, text: [text]})])],
    )
    fields = line(told)
    assert "gateway.record_error" not in fields
    if place == "header":
        fields["gateway.facts"]["headers"].pop("x-note")  # spelled in another way than its own
    everything = json.dumps(fields, ensure_ascii=False)
    for form in (value.decode("latin-1"), text):
        assert form not in everything
        assert json.dumps(form, ensure_ascii=False)[1:-1] not in everything
    if place != "header":
        assert written.decode() not in everything


def test_a_secret_that_is_empty_is_told() -> None:
    """Limits count who sends it with those who send none."""
    facts = line(record(request_lines=((b"X-Auth-Token", b""),), plan=Facts((b"x-auth-token",))))[
        "gateway.facts"
    ]
    assert facts["headers"] == {"x-auth-token": ""}


def test_a_secret_is_hashed_by_the_key_of_the_plan_that_the_exchange_ran_under() -> None:
    """One that was under way when another key came is told of by that of the revision that its record names."""
    lines = ((b"X-Auth-Token", b"token-of-somebody"),)
    plans = [Facts((b"x-auth-token",), hash_key=key) for key in (KEY, b"o" * 32)]
    alone = [line(record(request_lines=lines, plan=plan)) for plan in plans]
    serializer = Serializer(b"o" * 32, 3)
    told = [
        orjson.loads(serializer.line(record(request_lines=lines, plan=plans[number]), 1))
        for number in (1, 0, 1)
    ]
    hashes = [each["gateway.facts"]["headers"]["x-auth-token"]["hash"] for each in (*alone, *told)]
    assert hashes == [hashes[0], hashes[1], hashes[1], hashes[0], hashes[1]] and hashes[0] != hashes[1]


def test_a_plan_says_by_which_key_secrets_are_hashed_and_not_the_key() -> None:
    told = [
        orjson.loads(Serializer(key, 0).plan("r1", {"core": "c"}, 0.0))["gateway.plan"]
        for key in (KEY, KEY, b"other" * 8)
    ]
    assert told[0] == told[1] != told[2] and told[0]["core"] == "c"
    assert KEY.hex() not in told[0]["hashed_by"] and len(told[0]["hashed_by"]) == 12
