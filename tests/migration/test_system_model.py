"""Nodes, destinations, the chain and its conditions."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.testing import exchange
from gateway.condition import When, compile_condition
from gateway.migration.repose import Migration, MigrationError, migrate
from gateway.trial.given import Answer
from tests.migration.installed import KEYSTONE, installed, moved, notes, outcome, part, plan

ADD = "<add-headers><request><header name='X-Seen'>yes</header></request></add-headers>"


def _model(directory: Path, body: str, **options: str) -> Migration:
    (directory / "system-model.cfg.xml").write_text(f"<system-model>\n{body}</system-model>")
    return migrate(directory, environment={"HOST": "h.internal"}, **options)  # type: ignore[arg-type]


def _wrong(directory: Path, body: str) -> str:
    with pytest.raises(MigrationError) as raised:
        _model(directory, body)
    return str(raised.value)


NODES = '<nodes><node id="a" hostname="a" http-port="8080"/>\n<node id="b" hostname="b" https-port="8443"/></nodes>'
DESTINATION = (
    '<destinations><endpoint id="o" protocol="http" hostname="o" port="80" default="true"/></destinations>'
)


def test_a_node_is_chosen_and_the_others_are_told(tmp_path: Path) -> None:
    made = _model(tmp_path, NODES + DESTINATION)
    assert '\nlisten: "0.0.0.0:8080"\n' in made.text
    assert "one of 2 nodes" in notes(made, "node a")
    assert 'listen: "127.0.0.1:8443"' in _model(tmp_path, NODES + DESTINATION, node="b").text


def test_a_port_with_tls_is_not_opened_to_others_in_the_clear(tmp_path: Path) -> None:
    made = _model(tmp_path, NODES + DESTINATION, node="b")
    assert "TLS on port 8443: it listens on this host only" in notes(made, "node b")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<nodes/>" + DESTINATION, "there are no nodes"),
        ('<nodes><node id="a" hostname="a"/></nodes>' + DESTINATION, "neither http-port nor https-port"),
        ('<nodes><node id="a" http-port="70000"/></nodes>' + DESTINATION, "a port is 0 to 65535"),
        (NODES, "there are no destinations"),
        (
            NODES + '<destinations><endpoint id="o" hostname="a b" protocol="http"/></destinations>',
            "http://a b",
        ),
        (NODES + '<destinations><target id="o" cluster="x"/></destinations>', "there is no cluster 'x'"),
        (NODES + '<destinations><endpoint id="o"/></destinations>', "none of the destinations can be moved"),
        (NODES + "<filters><filter/></filters>" + DESTINATION, "filter needs the attribute name"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, body: str, message: str) -> None:
    wrong = _wrong(tmp_path, body)
    assert message in wrong
    assert wrong.startswith("system-model.cfg.xml:")


def test_destinations_are_upstreams(tmp_path: Path) -> None:
    made = _model(
        tmp_path,
        NODES + "<destinations>"
        '<endpoint id="first one" protocol="http" hostname="{$ HOST $}" port="8774"/>'
        '<endpoint id="second" hostname="s.internal" root-path="/v2" default="true" chunked-encoding="auto"/>'
        "</destinations>",
    )
    assert 'first-one: { endpoints: ["http://${HOST}:8774"], host: upstream }' in made.text
    assert 'second: { endpoints: ["https://s.internal"], host: upstream }' in made.text
    assert "    upstream: second\n    filters:\n      - { rewrite: { add_prefix: /v2 } }\n" in made.text


async def test_a_service_is_mounted_at_its_root_path(tmp_path: Path) -> None:
    made = _model(
        tmp_path,
        NODES
        + '<destinations><endpoint id="o" protocol="http" hostname="o" port="80" root-path="/v2/"/></destinations>',
    )
    got = await outcome(
        made, target="/servers?a=%20", answer=Answer(302, (("Location", "http://gateway.test/v2/x"),))
    )
    assert got.forwarded is not None and got.answer is not None
    assert got.forwarded.line.startswith("GET /v2/servers?a=%20 ")
    assert dict(got.answer.headers)["Location"] == "http://gateway.test/x"


async def _seen(directory: Path, filter: str, method: str = "GET", target: str = "/", **headers: str) -> bool:
    made = moved(directory, filter, add_header=ADD)
    got = await outcome(made, method, target, headers=tuple(headers.items()))
    assert got.forwarded is not None
    return ("X-Seen", "yes") in got.forwarded.headers


@pytest.mark.parametrize(
    ("condition", "method", "target", "headers", "expected"),
    [
        ('uri-regex="/v1/.*"/>', "GET", "/v1/a/b", {}, True),
        ('uri-regex="/v1/.*"/>', "GET", "/v2/a", {}, False),
        ('uri-regex="/v1/\\d+"/>', "GET", "/v1/77", {}, True),
        ('uri-regex="/v1/\\d+"/>', "GET", "/v1/x", {}, False),
        ('><methods value="GET HEAD"/></filter>', "GET", "/", {}, True),
        ('><methods value="GET HEAD"/></filter>', "POST", "/", {}, False),
        ('><methods value="get"/></filter>', "GET", "/", {}, True),
        ('><methods value="ALL"/></filter>', "PATCH", "/", {}, True),
        ('><methods value="GET ALL"/></filter>', "PURGE", "/", {}, True),
        ('><methods value="PURGE"/></filter>', "PURGE", "/", {}, True),
        ('><methods value="PURGE ANY"/></filter>', "GET", "/", {}, False),
        ('><not><methods value="purge"/></not></filter>', "PURGE", "/", {}, False),
        ('><or><not><methods value="ALL"/></not><uri regex="/a"/></or></filter>', "GET", "/a", {}, True),
        ('><or><not><methods value="ALL"/></not><uri regex="/a"/></or></filter>', "GET", "/b", {}, False),
        ('><not><not><methods value="ALL"/></not></not></filter>', "GET", "/b", {}, True),
        ('><not><not><uri regex="/a"/></not></not></filter>', "GET", "/b", {}, False),
        ('><or><uri regex=".*"/><uri regex="(a+)+b"/></or></filter>', "GET", "/b", {}, True),
        ('><and><methods value="ALL"/><uri regex="/a"/></and></filter>', "GET", "/a", {}, True),
        ('><and><methods value="ALL"/><uri regex="/a"/></and></filter>', "GET", "/b", {}, False),
        ('><and><methods value="ALL"/></and></filter>', "GET", "/b", {}, True),
        ('><or><methods value="ALL"/><uri regex="/a"/></or></filter>', "GET", "/b", {}, True),
        ('><not><and><methods value="ALL"/><uri regex="/a"/></and></not></filter>', "GET", "/a", {}, False),
        ('><not><and><methods value="ALL"/><uri regex="/a"/></and></not></filter>', "GET", "/b", {}, True),
        ('><header name="X-A"/></filter>', "GET", "/", {"x-a": ""}, True),
        ('><header name="X-A" value="1"/></filter>', "GET", "/", {"X-A": "2"}, False),
        ('><uri regex="/v1/(a|b)"/></filter>', "GET", "/v1/b", {}, True),
        ('><not><uri regex="/v1/.*"/></not></filter>', "GET", "/v1/x", {}, False),
        ('><or><methods value="GET"/><header name="X-A"/></or></filter>', "POST", "/", {"X-A": "1"}, True),
        (
            '><and><methods value="GET"/><not><header name="X-A"/></not><uri regex="/v1/.*"/></and></filter>',
            *("GET", "/v1/x", {"X-A": "1"}, False),
        ),
    ],
)
async def test_a_filter_sees_the_requests_that_it_saw(
    tmp_path: Path, condition: str, method: str, target: str, headers: dict[str, str], expected: bool
) -> None:
    assert (
        await _seen(tmp_path, f'<filter name="add-header" {condition}', method, target, **headers) is expected
    )


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('uri-regex="(a+)+b"/>', "(a+)+b"),
        ('><and><methods value="GET"/><uri regex="(a+)+b"/></and></filter>', "(a+)+b"),
        ('><and><methods value="ALL"/><uri regex="(a+)+b"/></and></filter>', "(a+)+b"),
        ('><not><and><methods value="POST"/><uri regex="(a+)+b"/></and></not></filter>', "(a+)+b"),
        ('><not><and><methods value="ALL"/><uri regex="(a+)+b"/></and></not></filter>', "(a+)+b"),
        ('><or><methods value="POST"/><uri regex="(a+)+b"/></or></filter>', "(a+)+b"),
        ('><methods value="POST,PUT"/></filter>', "'POST,PUT' is no method"),
        ('><methods value="ALL A@B"/></filter>', "'A@B' is no method"),
        ('><and><methods value="A@B"/><uri regex="/x"/></and></filter>', "'A@B' is no method"),
        ('><not><methods value="A@B"/></not></filter>', "'A@B' is no method"),
        ("><methods/></filter>", "it names none"),
        ("><or/></filter>", "the condition or"),
        ('><not><methods value="GET"/><methods value="PUT"/></not></filter>', "it is of 2"),
    ],
)
async def test_a_condition_that_cannot_be_said_lets_a_check_see_more_and_has_another_filter_refuse(
    tmp_path: Path, condition: str, said: str
) -> None:
    made = moved(tmp_path, f'<filter name="keystone-v2" {condition}', keystone_v2=KEYSTONE)
    assert said in notes(made, "filters of the chain")
    assert (await outcome(made, target="/x")).status == 401
    made = moved(tmp_path, f'<filter name="add-header" {condition}', add_header=ADD)
    assert (await outcome(made, target="/x")).status == 503
    assert part(made, "add-header").outcome == "not moved"


NEVER = '<not><methods value="ALL"/></not>'


@pytest.mark.parametrize(
    "condition",
    [
        NEVER,
        f'<and><uri regex="/a"/>{NEVER}</and>',
        f'<and><uri regex="(a+)+b"/>{NEVER}</and>',
        '<not><or><uri regex="(a+)+b"/><uri regex=".*"/></or></not>',
    ],
)
@pytest.mark.parametrize("name", ["add-header", "keystone-v2", "of-my-own"])
async def test_a_filter_that_no_request_came_to_is_left_out(
    tmp_path: Path, condition: str, name: str
) -> None:
    files = {"add_header": ADD, "keystone_v2": KEYSTONE}
    made = moved(tmp_path, f'<filter name="{name}">{condition}</filter>', **files)
    got = await outcome(made)
    assert got.status == 200 and got.forwarded is not None
    assert "X-Seen" not in dict(got.forwarded.headers)
    assert "it has never run: it is left out" in notes(made, name)
    assert "that the filter sees more requests" not in made.report.text()
    assert not part(made, name).refuses


Tree = tuple[str, str] | tuple[str, list[Any]]
_LEAVES = {
    "methods": ["ALL", "GET", "PURGE PUT", "POST,PUT"],
    "header": ["X-A", "X-B"],
    "uri": ["/a/.*", "/a|/b", ".*", "(a+)+b"],
}
_UNSAYABLE = ("POST,PUT", "(a+)+b")


def _trees() -> st.SearchStrategy[Tree]:
    leaves = st.one_of(
        *(st.tuples(st.just(kind), st.sampled_from(values)) for kind, values in _LEAVES.items())
    )

    def grown(trees: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(trees, min_size=1, max_size=3)
        one = st.lists(trees, min_size=1, max_size=1)
        return st.one_of(st.tuples(st.sampled_from(["and", "or"]), some), st.tuples(st.just("not"), one))

    return st.recursive(leaves, grown, max_leaves=6)


def _xml(tree: Any) -> str:
    kind, value = tree
    if kind in _LEAVES:
        name = {"methods": "value", "header": "name", "uri": "regex"}[kind]
        return f'<{kind} {name}="{value}"/>'
    return f"<{kind}>{''.join(map(_xml, value))}</{kind}>"


def _holds(tree: Any, method: str, path: str, field: str) -> bool | None:
    """What Repose would say; None where nobody here can."""
    kind, value = tree
    if value in _UNSAYABLE:
        return None
    if kind == "methods":
        return value == "ALL" or method in value.split()
    if kind == "header":
        return bool(value == field)
    if kind == "uri":
        return re.fullmatch(value, path) is not None
    parts = [_holds(one, method, path, field) for one in value]
    if kind == "not":
        return None if parts[0] is None else not parts[0]
    decisive = kind == "or"
    return decisive if decisive in parts else None if None in parts else not decisive


REQUESTS = [
    (method, path, field)
    for method in ("GET", "PURGE", "DELETE")
    for path in ("/a", "/a/x", "/c")
    for field in ("X-A", "X-C")
]


@given(_trees())
def test_conditions_are_folded_so_that_a_filter_sees_what_it_saw(tree: Tree) -> None:
    judging = "<regex-rbac><resources>/.* ALL nobody</resources></regex-rbac>"
    for name, type, text in (("add-header", "headers", ADD), ("regex-rbac", "rbac", judging)):
        with TemporaryDirectory() as directory:
            chain = f'<filter name="{name}">{_xml(tree)}</filter>'
            made = moved(Path(directory), chain, **{name.replace("-", "_"): text})
        entries = [
            (next(iter(entry)), When.model_validate(options["when"]) if "when" in options else None)
            for entry in yaml.safe_load(made.text).get("filters", [])
            for options in entry.values()
        ]
        for method, path, field in REQUESTS:
            came = exchange(method, path, headers=[(field, "1")])
            seen = [kind for kind, when in entries if when is None or compile_condition(when)(came)]
            told = _holds(tree, method, path, field)
            whole = (
                "cannot be said whole" not in made.report.text()
                and "sees more requests" not in made.report.text()
            )
            if name == "add-header":
                # It refuses what it cannot tell.
                assert seen == ([type] if told else []) if whole else type not in seen
                assert whole or told is False or seen == ["respond"]
            else:
                assert seen in ([], [type])
                assert bool(seen) is told if whole else told is False or seen


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_check_for_all_methods_is_in_force(tmp_path: Path, method: str) -> None:
    made = moved(
        tmp_path,
        '<filter name="keystone-v2"><methods value="ALL"/></filter>',
        keystone_v2=KEYSTONE,
    )
    assert (await outcome(made, method)).status == 401
    assert "when" not in made.text


def test_a_chain_with_a_condition_that_is_none(tmp_path: Path) -> None:
    installed(
        tmp_path, '<filter name="add-header"><xor><methods value="GET"/></xor></filter>', {"add-header": ADD}
    )
    with pytest.raises(MigrationError, match="xor is no condition"):
        migrate(tmp_path)


CLUSTERS = (
    '<repose-cluster id="one"><nodes><node id="a" http-port="1"/></nodes>'
    '<destinations><target id="t" cluster="two" protocol="http"/></destinations></repose-cluster>\n'
    '<repose-cluster id="two"><nodes><node id="b" hostname="b.internal" http-port="2"/></nodes>'
    '<destinations><endpoint id="e" protocol="http" hostname="e" port="3"/></destinations></repose-cluster>'
)


def test_one_cluster_is_moved_and_the_others_are_told(tmp_path: Path) -> None:
    made = _model(tmp_path, CLUSTERS)
    assert 't: { endpoints: ["http://b.internal:2"], host: upstream }' in made.text
    assert part(made, "repose-cluster two").outcome == "not moved"
    assert (
        'e: { endpoints: ["http://e:3"], host: upstream }' in _model(tmp_path, CLUSTERS, cluster="two").text
    )
    with pytest.raises(MigrationError, match="there is no repose-cluster 'three': there are one, two"):
        _model(tmp_path, CLUSTERS, cluster="three")


ROUTER = '<destination-router><target id="other"/></destination-router>'
TWO = (
    '<destinations><endpoint id="o" protocol="http" hostname="o" port="80" default="true"/>'
    '<endpoint id="other" protocol="http" hostname="other" port="81"/></destinations>'
)


@pytest.mark.parametrize(
    ("condition", "target", "upstream"),
    [("", "/x", "other"), ('uri-regex="/a/.*"', "/a/x", "other"), ('uri-regex="/a/.*"', "/x", "o")],
)
async def test_a_router_is_routes(tmp_path: Path, condition: str, target: str, upstream: str) -> None:
    (tmp_path / "destination-router.cfg.xml").write_text(ROUTER)
    made = _model(tmp_path, f'{NODES}<filters><filter name="destination-router" {condition}/></filters>{TWO}')
    plan(made)
    got = await outcome(made, target=target)
    assert got.forwarded is not None
    assert ("Host", upstream if upstream == "o" else "other:81") in got.forwarded.headers


A = '<destination-router><target id="o" %s/></destination-router>'
B = '<destination-router><target id="other" %s/></destination-router>'


async def _sent_to(
    directory: Path, chain: str, targets: list[str], bypass: str = "", **files: str
) -> list[str]:
    """The destination of each request; the status of one that is refused."""
    for name, text in files.items():
        (directory / name).write_text(text)
    made = _model(directory, f"{NODES}<filters {bypass}>{chain}</filters>{TWO}")
    plan(made)
    found = []
    for target in targets:
        got = await outcome(made, target=target)
        host = dict(got.forwarded.headers)["Host"] if got.forwarded is not None else str(got.status)
        found.append(host.partition(":")[0])
    return found


FIRST = '<filter name="destination-router" configuration="a" %s/>'
SECOND = '<filter name="destination-router" configuration="b" %s/>'


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ('quality="0.9"', 'quality="0.1"', "o"),
        ('quality="0.1"', 'quality="0.9"', "other"),
        ("", "", "other"),
        ("", 'quality="0.4"', "o"),
        ("", 'quality="0.5"', "other"),
    ],
)
async def test_of_several_routers_the_one_of_the_highest_quality_decides(
    tmp_path: Path, first: str, second: str, expected: str
) -> None:
    chain = FIRST % "" + SECOND % ""
    assert await _sent_to(tmp_path, chain, ["/x"], a=A % first, b=B % second) == [expected]
    made = _model(tmp_path, f"{NODES}<filters>{chain}</filters>{TWO}")
    outcomes = [part.outcome for part in made.report.parts if part.name == "destination-router"]
    assert outcomes == (["moved", "not moved"] if expected == "o" else ["not moved", "moved"])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # The last one is for a part of the paths of the other, or for all of them.
        ('uri-regex="/a/.*"', 'uri-regex="/a/b"', ["o", "other", "o", "o"]),
        ('uri-regex="/a/b"', 'uri-regex="/a/.*"', ["other", "other", "other", "o"]),
        ('uri-regex="/a/.*"', 'uri-regex="/a/.*"', ["other", "other", "other", "o"]),
        ('uri-regex="/a/b"', "", ["other", "other", "other", "other"]),
        ("", 'uri-regex="/a/b"', ["o", "other", "o", "o"]),
        # Neither is for a part of the other's.
        ('uri-regex="/a/[^/]+"', 'uri-regex="/[^/]+/b"', ["o", "503", "o", "other"]),
    ],
)
async def test_routers_of_equal_quality_that_have_paths_in_common(
    tmp_path: Path, first: str, second: str, expected: list[str]
) -> None:
    chain = FIRST % first + SECOND % second
    targets = ["/a/c", "/a/b", "/a/", "/x/b"]
    assert await _sent_to(tmp_path, chain, targets, a=A % "", b=B % "") == expected


async def test_a_router_of_a_higher_quality_decides_of_paths_that_another_has_more_particularly(
    tmp_path: Path,
) -> None:
    chain = FIRST % 'uri-regex="/a/.*"' + SECOND % 'uri-regex="/a/b"'
    files = {"a": A % 'quality="0.6"', "b": B % ""}
    assert await _sent_to(tmp_path, chain, ["/a/b", "/a/c", "/x"], **files) == ["o", "o", "o"]


@pytest.mark.parametrize(
    ("bypass", "condition", "expected"),
    [
        ("/health", "", ["o", "other", "other"]),
        ("/health", 'uri-regex="/x/.*"', ["o", "o", "other"]),
        ("/he[a-z]+", "", ["503", "other", "other"]),
        ("/he[a-z]+", 'uri-regex="/x/.*"', ["o", "o", "other"]),
        ("/x/[a-z]+", 'uri-regex="/x/.*"', ["o", "o", "503"]),
        ("/x/.*", "", ["other", "other", "o"]),
    ],
)
async def test_what_no_filter_sees_goes_to_the_default(
    tmp_path: Path, bypass: str, condition: str, expected: list[str]
) -> None:
    targets = ["/health", "/y", "/x/y"]
    found = await _sent_to(tmp_path, SECOND % condition, targets, f'bypass-uri-regex="{bypass}"', b=B % "")
    assert found == expected


def test_a_router_that_is_no_route_is_told(tmp_path: Path) -> None:
    (tmp_path / "destination-router.cfg.xml").write_text(ROUTER)
    body = f'{NODES}<filters><filter name="destination-router"><methods value="GET"/></filter></filters>{TWO}'
    assert "write the routes" in notes(_model(tmp_path, body), "destination-router")


def test_what_has_no_equal_says_why(tmp_path: Path) -> None:
    made = _model(
        tmp_path,
        NODES
        + '<services><service name="dist-datastore"/></services>'
        + DESTINATION
        + '<phone-home enabled="true"/><tracing-header rewrite-header="true"/>',
    )
    assert "Redis" in notes(made, "service dist-datastore")
    assert "nothing is told to anybody" in notes(made, "phone-home")
    assert "X-Trans-Id" in notes(made, "tracing-header")


async def test_requests_of_a_destination_that_cannot_be_moved_go_to_no_other(tmp_path: Path) -> None:
    body = NODES + (
        '<destinations><endpoint id="inside" default="true"/>'
        '<endpoint id="other" protocol="http" hostname="other" port="81"/></destinations>'
    )
    made = _model(tmp_path, body)
    assert (await outcome(made)).status == 503
    assert part(made, "destination inside").refuses


async def test_requests_that_a_route_cannot_tell_go_to_no_other_destination(tmp_path: Path) -> None:
    (tmp_path / "destination-router.cfg.xml").write_text(ROUTER)
    body = f'{NODES}<filters><filter name="destination-router"><methods value="GET"/></filter></filters>{TWO}'
    made = _model(tmp_path, body)
    assert [(await outcome(made, method)).status for method in ("GET", "POST")] == [503, 200]


def test_encoding_of_fields_is_explained(tmp_path: Path) -> None:
    installed(tmp_path, "", {})
    model = tmp_path / "system-model.cfg.xml"
    element = "<url-encode-headers><header>X-A</header></url-encode-headers></system-model>"
    model.write_text(model.read_text().replace("</system-model>", element))
    made = migrate(tmp_path, environment={})
    assert "go on as they came" in notes(made, "url-encode-headers")
    assert "unknown" not in made.report.text()
