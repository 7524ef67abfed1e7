"""From configuration to plan: routes, chains, sources, state, with no event loop."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway import plan as plans
from gateway.api import Filter, HttpOptions
from gateway.api.testing import exchange
from gateway.config.load import Loaded, loads
from gateway.config.problem import ConfigurationError
from gateway.plan import build_plan, host_id
from gateway.registry import Registry
from gateway.state import StateStore
from tests.support.certificates import authority, written

BASE = """
upstreams: { compute: { endpoints: ["http://127.0.0.1:8774"] } }
filters:
  - ip_allow: { allow: [127.0.0.0/8] }
routes:
  - name: images
    path: /v2/{project_id}/images/{image_id}
    upstream: compute
    methods: [GET]
    filters:
      - methods: { allow: [GET] }
      - uuid: { params: [image_id], mode: shadow }
      - body_size: { max: 1KiB, mode: "off" }
  - name: rest
    path: /{rest*}
    upstream: compute
    target: lenient
"""


def loaded(text: str = BASE, directory: Path | None = None) -> Loaded:
    return loads(text, "gateway.yaml", registry=Registry(), directory=directory)


def plan(text: str = BASE, **options: Any) -> Any:
    return build_plan(loaded(text), Registry(), **options)


def test_a_route_runs_the_global_filters_and_then_its_own() -> None:
    found = plan().router.match("api", "/v2/p/images/i", "GET")
    assert [entry.name for entry in found.payload.chain.entries] == ["ip_allow", "methods", "uuid"]
    assert found.params == {"project_id": "p", "image_id": "i"}
    assert found.payload.info == ("images", "/v2/{project_id}/images/{image_id}", "compute")


def test_without_a_route_only_the_global_filters_run() -> None:
    assert [entry.name for entry in plan().chain.entries] == ["ip_allow"]


def test_a_more_specific_template_keeps_its_methods_to_itself() -> None:
    found = plan().router.match("api", "/v2/p/images/i", "DELETE")
    assert found.payload is None
    assert found.allow == ("GET",)


def test_leniency_belongs_to_the_route() -> None:
    built = plan()
    assert built.router.match("api", "/x", "GET").payload.lenient
    assert not built.router.match("api", "/v2/p/images/i", "GET").payload.lenient


def test_what_a_client_may_switch_to_belongs_to_the_route() -> None:
    assert not plan().upgrades, "so that no connection keeps what comes behind an upgrade"
    built = plan(BASE + "    upgrade: [WebSocket]\n")
    assert built.upgrades
    assert built.router.match("api", "/x", "GET").payload.upgrade == {b"websocket"}
    assert built.router.match("api", "/v2/p/images/i", "GET").payload.upgrade == frozenset()


def test_every_entry_and_every_rule_knows_its_place_in_the_file() -> None:
    entries = {entry.name: entry for entry in plan().entries}
    assert entries["methods"].source(()) == "gateway.yaml:11:9"
    assert entries["uuid"].source(("params", 0)).startswith("gateway.yaml:12:")
    assert entries["uuid"].source(("params", 0)) != entries["uuid"].source(())
    assert "body_size" not in entries


def test_a_route_that_can_never_be_told_from_another_is_an_error_with_both_places() -> None:
    text = (
        BASE
        + """
  - name: again
    path: /v2/{a}/images/{b}
    upstream: compute
    methods: [GET, PUT]
"""
    )
    with pytest.raises(ConfigurationError) as raised:
        plan(text)
    (problem,) = raised.value.problems
    assert problem.line == 20
    assert "'again'" in problem.message
    assert "gateway.yaml:6:5" in problem.message


def test_a_filter_that_cannot_be_built_is_an_error_with_its_place() -> None:
    text = BASE.replace(
        "ip_allow: { allow: [127.0.0.0/8] }",
        "token_auth: { providers: [{ static: { file: missing.yaml } }] }",
    )
    with pytest.raises(ConfigurationError) as raised:
        plan(text)
    (problem,) = raised.value.problems
    assert (problem.file, problem.line) == ("gateway.yaml", 4)
    assert "missing.yaml" in problem.message


def test_all_entries_that_cannot_be_built_are_reported_at_once() -> None:
    broken = "token_auth: { providers: [{ static: { file: missing.yaml } }] }"
    text = BASE.replace("ip_allow: { allow: [127.0.0.0/8] }", broken).replace(
        "methods: { allow: [GET] }", broken
    )
    with pytest.raises(ConfigurationError) as raised:
        plan(text)
    assert len(raised.value.problems) == 2


@pytest.mark.parametrize(
    ("common", "own", "expected"),
    [
        ("uuid: { params: [image_id] }", "uuid: { params: [image_id, project_id] }", []),
        ("uuid: { params: [image_id] }", "methods: { allow: [GET] }", []),
        ("json_body: { metadata: item, key_param: image_id }", "json_body: { metadata: set }", []),
        (
            "methods: { allow: [GET] }",
            "uuid: { params: [project_id, imageid] }",
            [(7, "the path of the route has no parameter 'imageid' (did you mean 'image_id'?)")],
        ),
        (
            "methods: { allow: [GET] }",
            "json_body: { metadata: item }",
            [(7, "the path of the route has no parameter 'key'")],
        ),
        (
            "methods: { allow: [GET] }",
            "uuid: { params: [name], mode: shadow }",
            [(7, "the path of the route has no parameter 'name'")],
        ),
        ("methods: { allow: [GET] }", "uuid: { params: [name], mode: off }", []),
        (
            "uuid: { params: [images] }",
            "uuid: { params: [name] }",
            [
                (2, "no route has a parameter 'images' in its path (did you mean 'image_id'?)"),
                (7, "the path of the route has no parameter 'name'"),
            ],
        ),
    ],
)
def test_a_path_parameter_that_is_not_there_is_an_error(
    common: str, own: str, expected: list[tuple[int, str]]
) -> None:
    """A guard of a parameter that never comes would guard nothing, or refuse everything."""
    text = f"""\
upstreams: {{ a: {{ endpoints: ["http://a:1"] }} }}
filters: [{{ {common} }}]
routes:
  - name: r
    path: /v2/{{project_id}}/images/{{image_id}}
    upstream: a
    filters: [{{ {own} }}]
  - {{ name: s, path: "/s/{{name}}", upstream: a }}
"""
    if not expected:
        plan(text)
        return
    with pytest.raises(ConfigurationError) as raised:
        plan(text)
    problems = raised.value.problems
    assert [(problem.line, problem.message) for problem in problems] == expected
    assert {problem.code for problem in problems} == {"param_unknown"}


LIMITED = BASE.replace(
    "ip_allow: { allow: [127.0.0.0/8] }",
    "rate_limit: { limits: [{ name: all, rate: 1/minute, burst: 1, key: [client_ip] }] }",
)


def refused(built: Any) -> bool:
    entry = built.entries[0]
    return entry.filter.on_request(exchange()) is not None


def test_state_is_shared_by_plans_with_the_same_definition_and_by_no_other() -> None:
    store = StateStore()
    first = plan(LIMITED, state=store, hash_key=b"k")
    assert not refused(first)
    assert refused(plan(LIMITED, state=store, hash_key=b"k"))
    assert not refused(plan(LIMITED.replace("1/minute", "2/minute"), state=store, hash_key=b"k"))
    assert not refused(plan(LIMITED.replace("limits:", "mode: shadow, limits:"), state=store, hash_key=b"k"))


def test_state_of_a_filter_is_named_by_what_it_says() -> None:
    store = StateStore()
    first = plan(LIMITED, state=store, hash_key=b"k")
    other = LIMITED.replace("limits:", "headers_on: all, endpoint: {path: /limits}, limits:")
    assert not refused(first)
    assert refused(plan(other, state=store, hash_key=b"k"))
    busy = LIMITED.replace("rate_limit", "concurrency").replace("rate: 1/minute, burst: 1", "max: 1")
    held = store.held(plan(busy, state=store).holder)
    assert store.held(plan(busy.replace("limits:", "retry_after: 9s, limits:"), state=store).holder) == held
    assert store.held(plan(busy.replace("max: 1", "max: 2"), state=store).holder) == held
    assert store.held(plan(busy.replace("name: all", "name: other"), state=store).holder) != held


async def test_that_a_mark_is_owed_to_a_store_is_found_with_other_options_too() -> None:
    store = StateStore()
    provider = "keystone: { url: 'http://127.0.0.1:5000/v3', account: { user: gateway, password: pw, project_name: service } }"
    sharing = f"shared: {{ url: 'redis://127.0.0.1:6379', key: {'s' * 40} }}"
    entry = f"token_auth: {{ providers: [ {{ {provider} }} ], cache: {{ size: 10, {sharing} }} }}"
    text = BASE.replace("methods: { allow: [GET] }", entry)

    def shelf(built: Any) -> Any:
        token_auth = next(entry for entry in built.entries if entry.type == "token_auth")
        return token_auth.filter._shared._marks.shelf

    first = plan(text, state=store, hash_key=b"k")
    shelf(first).put(b"owed", b"1", tags=(), made=2.0, until=90.0, now=1.0)
    second = plan(text.replace("size: 10", "size: 20"), state=store, hash_key=b"k")
    found = shelf(second).get(b"owed", 1.0)
    assert found is not None and found.value == b"1"
    await first.close()
    await second.close()
    assert len(store) == 0


async def test_closing_the_last_plan_lets_go_of_its_state() -> None:
    store = StateStore()
    first, second = plan(LIMITED, state=store), plan(LIMITED, state=store)
    held = len(store)
    assert held > 0
    await first.close()
    assert len(store) == held
    await second.close()
    assert len(store) == 0


def test_a_plan_that_fails_holds_no_state() -> None:
    store = StateStore()
    text = LIMITED.replace(
        "methods: { allow: [GET] }", "token_auth: { providers: [{ static: { file: missing.yaml } }] }"
    )
    with pytest.raises(ConfigurationError):
        plan(text, state=store)
    assert len(store) == 0


def test_declared_header_facts_are_what_records_keep() -> None:
    text = BASE.replace(
        "methods: { allow: [GET] }", "methods: { allow: [GET], when: { header: { X-Canary: true } } }"
    )
    assert b"x-canary" in plan(text).header_names


def test_the_pseudonym_is_the_same_for_every_plan_of_a_host() -> None:
    first, second = plan(), plan()
    assert first.pseudonym == second.pseudonym
    assert first.pseudonym.startswith(b"weir-")
    assert first.via["1.0"].startswith(b"1.0 " + first.pseudonym)
    assert host_id()


async def test_a_plan_starts_and_closes_its_filters() -> None:
    built = plan()
    await built.start()
    await built.close()


def test_all_filters_hear_that_they_are_in_force_whatever_one_of_them_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []

    def hear(self: Filter[Any]) -> None:
        heard.append(self.name)
        raise RuntimeError

    monkeypatch.setattr(Filter, "put_in_force", hear)
    plan().put_in_force()
    assert heard == ["ip_allow", "methods", "uuid"]


def test_a_description_names_every_entry_once() -> None:
    described = plan().describe()["entries"]
    assert [entry["name"] for entry in described] == ["ip_allow", "methods", "uuid"]
    assert [entry["index"] for entry in described] == [0, 1, 2]


DESCRIPTION = """{"openapi": "3.1.0", "paths": {"/a": {"get": {"parameters": [
    {"name": "X-Kind", "in": "header", "schema": {"type": "string"}}]}}}}"""
DESCRIBED = """\
upstreams: {{ a: {{ endpoints: ["http://a:1"] }} }}
filters:
  - api:
      description: api.json
      mode: {mode}
      validate_responses: {{}}
routes: [{{ name: r, path: "/{{rest*}}", upstream: a }}]
"""


def test_what_a_filter_finds_out_that_it_reads_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(DESCRIPTION)
    made = build_plan(loaded(DESCRIBED.format(mode="shadow"), tmp_path), Registry())
    assert b"x-kind" in made.header_names


def test_an_option_for_shadow_alone_is_an_error_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(DESCRIPTION)
    with pytest.raises(ConfigurationError) as raised:
        build_plan(loaded(DESCRIBED.format(mode="enforce"), tmp_path), Registry())
    (problem,) = raised.value.problems
    assert str(problem) == (
        "gateway.yaml:6:7: api.validate_responses: is for an entry with `mode: shadow` alone"
    )


def test_a_token_field_of_any_name_is_a_secret_of_the_records() -> None:
    auth = (
        "token_auth: { header: X-Session, mode: shadow, providers: [{ static: { tokens: [{ token: t-1, user: u, "
        "user_id: i, project_id: p }] } }] }"
    )
    built = plan(BASE.replace("ip_allow: { allow: [127.0.0.0/8] }", auth))
    assert built.secret_names == {b"x-session"}


def test_what_is_to_be_left_out_of_records_belongs_to_the_plan() -> None:
    built = plan(BASE + "log: { redact: { headers: [x-a], params: [image_.*] } }\n")
    assert built.redaction.is_secret_header("x-a")
    assert built.redaction.by_place
    assert not plan().redaction.by_place


def test_a_path_parameter_to_be_left_out_is_one_of_some_route() -> None:
    with pytest.raises(
        ConfigurationError, match=r"gateway.yaml:\d+:\d+: log.redact.params\[0\]: no route has"
    ):
        plan(BASE + "log: { redact: { params: [image, image_id] } }\n")


SECURE = """
upstreams:
  compute:
    endpoints: ["https://api.test"]
    tls:
      ca: ca.pem
      certificate: gateway.pem
      key: key.pem
  image: { endpoints: ["https://image.test"] }
  plain: { endpoints: ["http://plain.test"] }
  other:
    endpoints: ["https://other.test"]
    tls: { ca: other.pem }
routes: [{ name: all, path: "/{rest*}", upstream: compute }]
"""


def test_upstreams_over_tls_have_a_context_each(tmp_path: Path) -> None:
    ours = authority().sign("gateway.test")
    certificate = authority().certificate
    written(tmp_path, ca=certificate, other=certificate, gateway=ours.certificate, key=ours.key)
    built = build_plan(loaded(SECURE, tmp_path), Registry())
    assert built.contexts.keys() == {"compute", "image", "other"}
    assert len({id(context) for context in built.contexts.values()}) == 3


def test_every_file_of_tls_that_cannot_be_used_is_an_error_with_its_place(tmp_path: Path) -> None:
    written(tmp_path, ca=authority().certificate, gateway=authority().sign("gateway.test").certificate)
    (tmp_path / "key.pem").write_text("none")
    with pytest.raises(ConfigurationError) as raised:
        build_plan(loaded(SECURE, tmp_path), Registry())
    assert [str(problem) for problem in raised.value.problems] == [
        "gateway.yaml:8:7: upstreams.compute.tls.key: the file 'key.pem' holds no private key in PEM form",
        "gateway.yaml:13:12: upstreams.other.tls.ca: the file 'other.pem' cannot be read: no such file or directory",
    ]


def test_a_plan_that_traces_drops_what_clients_say_and_makes_it_anew(tmp_path: Path) -> None:
    names = {b"traceparent", b"tracestate"}
    quiet = build_plan(loaded(BASE, tmp_path), Registry())
    assert (quiet.traces, quiet.trace_context) == (None, None)
    assert names.isdisjoint(quiet.request_drop)
    traced = build_plan(
        loaded(BASE + 'tracing: { endpoint: "http://127.0.0.1:4318" }\n', tmp_path), Registry()
    )
    assert traced.traces is not None
    assert traced.trace_context is None
    assert names <= traced.request_drop


def test_an_https_collector_is_verified(tmp_path: Path) -> None:
    text = BASE + 'tracing: { endpoint: "https://collector.test", ca: ca.pem }\n'
    with pytest.raises(ConfigurationError) as raised:
        build_plan(loaded(text, tmp_path), Registry())
    line = len(text.splitlines())
    assert [str(problem) for problem in raised.value.problems] == [
        f"gateway.yaml:{line}:48: tracing.ca: the file 'ca.pem' cannot be read: no such file or directory"
    ]
    written(tmp_path, ca=authority().certificate)
    for options in (text, text.replace(", ca: ca.pem", "")):
        context = build_plan(loaded(options, tmp_path), Registry()).trace_context
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_traces_without_their_extra_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as raised:
        build_plan(loaded(BASE + 'tracing: { endpoint: "http://127.0.0.1:4318" }\n', tmp_path), Registry())
    line = len(BASE.splitlines()) + 1
    assert [str(problem) for problem in raised.value.problems] == [
        f"gateway.yaml:{line}:1: tracing: needs more than is installed: pip install 'weir-gateway[otel]'"
    ]


def test_what_is_wrong_in_a_file_of_tokens_is_told_at_the_option_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "tk.yaml").write_text("- token: hidden\n  user: u\n  rols: [x]\n- token: hidden-too\n")
    text = BASE.replace(
        "ip_allow: { allow: [127.0.0.0/8] }", "token_auth: { providers: [ { static: { file: tk.yaml } } ] }"
    )
    (line,) = [n for n, written in enumerate(text.splitlines(), 1) if "token_auth" in written]
    column = text.splitlines()[line - 1].index("file:") + 1
    with pytest.raises(ConfigurationError) as raised:
        build_plan(loaded(text, tmp_path), Registry())
    place = f"gateway.yaml:{line}:{column}: token_auth.providers[0].static.file: tk.yaml"
    assert [str(problem) for problem in raised.value.problems] == [
        f"{place}:3:3: unknown key 'rols' (did you mean 'roles'?)",
        f"{place}:4:3: expected user_id or user: a token stands for somebody",
    ]


def test_requests_are_balanced_by_a_parameter_that_some_route_to_the_upstream_has() -> None:
    text = """
upstreams:
  a: { endpoints: ["http://a:1"], balance: consistent_hash, hash: "param:image_id" }
  b: { endpoints: ["http://b:1"], balance: consistent_hash, hash: "param:imageid" }
  c: { endpoints: ["http://c:1"], balance: consistent_hash, hash: "param:project_id" }
routes:
  - { name: one, path: "/{image_id}", upstream: a }
  - { name: two, path: "/x/{image_id}", upstream: b }
  - { name: three, path: "/y", upstream: b }
"""
    with pytest.raises(ConfigurationError) as caught:
        plan(text)
    assert [str(problem) for problem in caught.value.problems] == [
        "gateway.yaml:4:61: upstreams.b.hash: no route to the upstream has a parameter 'imageid' in its path "
        "(did you mean 'image_id'?)",
        "gateway.yaml:5:61: upstreams.c.hash: no route to the upstream has a parameter 'project_id' in its path",
    ]


TRAFFIC = """
upstreams:
  compute: { endpoints: ["http://127.0.0.1:8774"], concurrency: { limit: 5 }, mirror: { upstream: next } }
  next: { endpoints: ["http://127.0.0.1:8775"] }
priority: [{ name: first, routes: [a] }]
routes:
  - { name: a, path: /a, upstream: compute, concurrency: { limit: 2 } }
  - { name: b, path: /b, upstream: compute, mirror: { upstream: next, percent: 1 } }
  - { name: c, path: /c, upstream: next }
"""


def test_a_request_passes_the_limits_of_its_route_and_then_of_its_upstream() -> None:
    made = plan(TRAFFIC)
    a, b, c = (made.router.match("api", path, "GET").payload for path in ("/a", "/b", "/c"))
    assert [limiter.limit for limiter in a.gate.limiters] == [2, 5]
    assert b.gate.limiters == a.gate.limiters[1:], "the routes of an upstream share its limit"
    assert (c.gate, c.mirror) == (None, None), "who has no limits has nothing to pass"
    assert (a.mirror.scope, a.mirror.name, b.mirror.scope, b.mirror.name) == (
        "upstream",
        "compute",
        "route",
        "b",
    )
    assert {limiter.name for limiter in made.limiters} == {"a", "compute"}
    assert len(made.mirrors) == 2


def test_limits_and_mirrors_count_on_over_a_reload_where_they_stay_as_they_were() -> None:
    store = StateStore()
    first = plan(TRAFFIC, state=store)
    second = plan(TRAFFIC.replace("concurrency: { limit: 2 }", "concurrency: { limit: 3 }"), state=store)
    by_name = [{one.name: one for one in made.limiters} for made in (first, second)]
    assert by_name[0]["compute"] is by_name[1]["compute"]
    assert by_name[0]["a"] is not by_name[1]["a"]
    assert first.mirrors == second.mirrors
    store.release(first.holder)
    store.release(second.holder)
    assert len(store) == 0


# ---- the network of filters


KEYSTONE = """
upstreams: { compute: { endpoints: ["http://127.0.0.1:8774"] } }
filters:
  - token_auth:
      providers:
        - keystone:
            url: https://identity.test/v3
            account: { user: gateway, password: password, project_name: service }
            tls: { ca: ca.pem, certificate: gateway.pem, key: key.pem }
routes: [{ name: all, path: "/{rest*}", upstream: compute }]
"""


class Network:
    """Makes clients that are never asked, and keeps what they are made of."""

    def __init__(self) -> None:
        self.made: list[tuple[HttpOptions, ssl.SSLContext | None]] = []
        self.closed = 0

    def __call__(self, options: HttpOptions, context: ssl.SSLContext | None) -> Any:
        self.made.append((options, context))
        return self

    def close(self) -> None:
        self.closed += 1


def identity_files(directory: Path) -> None:
    ours = authority().sign("gateway.test")
    written(directory, ca=authority().certificate, gateway=ours.certificate, key=ours.key)


async def test_a_filters_client_lives_as_long_as_a_plan_has_its_definition(tmp_path: Path) -> None:
    identity_files(tmp_path)
    network, state = Network(), StateStore()
    first = build_plan(loaded(KEYSTONE, tmp_path), Registry(), state=state, network=network)
    again = build_plan(loaded(KEYSTONE, tmp_path), Registry(), state=state, network=network)
    ((options, context),) = network.made
    assert options.url == "https://identity.test/v3"
    assert context is not None and context.verify_mode == ssl.CERT_REQUIRED
    await first.close()
    assert network.closed == 0
    identity_files(tmp_path)  # renewed: whoever asks from now on presents the new certificate
    renewed = build_plan(loaded(KEYSTONE, tmp_path), Registry(), state=state, network=network)
    assert len(network.made) == 2
    await again.close()
    assert network.closed == 1
    await renewed.close()
    assert network.closed == 2
    assert len(state) == 0


def test_a_plan_that_is_checked_opens_nothing_and_says_what_is_wrong(tmp_path: Path) -> None:
    identity_files(tmp_path)
    assert build_plan(loaded(KEYSTONE, tmp_path), Registry()).entries[0].filter.pure is False
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigurationError) as raised:
        build_plan(loaded(KEYSTONE, tmp_path), Registry())
    assert [str(problem) for problem in raised.value.problems] == [
        "gateway.yaml:9:20: token_auth.providers[0].keystone.tls.ca: the file 'ca.pem' holds no certificate in PEM form"
    ]
