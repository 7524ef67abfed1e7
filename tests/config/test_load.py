"""A file to a configuration, or to all that is wrong with it."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.api import Secret
from gateway.config.load import (
    ConfigurationError,
    Loaded,
    Problem,
    digest,
    load,
    load_admin,
    loads,
    normal_form,
)
from gateway.config.model import admin_at
from gateway.registry import Registry

BASE = 'upstreams: {a: {endpoints: ["http://a:1"]}}\nroutes: [{name: r, path: /, upstream: a}]\n'
CASES = [path.read_text() for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))]

_SAMPLE = Registry(package="tests.config.sample", entry_points=lambda: ())
_BUILT_IN = Registry(entry_points=lambda: ())


def loaded(text: str, **environment: str) -> Loaded:
    return loads(BASE + text, "gateway.yaml", registry=_SAMPLE, environment=environment)


def refused(text: str, registry: Registry = _SAMPLE) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loads(text, "gateway.yaml", registry=registry, environment={})
    return [str(problem) for problem in caught.value.problems]


def test_a_rule_of_a_filter_has_its_place_in_the_file() -> None:
    text = "filters:\n  - mark\n  - gate:\n      items:\n        - rate: a\n        - rate: b\n"
    found = loads(text + BASE, "conf/gateway.yaml", registry=_SAMPLE, environment={})
    entry = found.configuration.filters[1]
    assert entry.path == ("filters", 1, "gate")
    assert str(found.marks.position((*entry.path, "items", 1))) == "conf/gateway.yaml:6:11"
    assert str(found.marks.position((*entry.path, "no", "such"))) == "conf/gateway.yaml:3:5"
    assert str(found.marks.position(found.configuration.filters[0].path)) == "conf/gateway.yaml:2:5"


def test_says_what_is_wrong_with_a_real_filter() -> None:
    text = (
        "filters:\n"
        "  - rate_limit:\n"
        "      limits:\n"
        "        - {rate: ten, burst: five}\n"
        "        - {rate: 10/minute, limt: 5}\n"
        "        - {rate: {value: ten, unit: minute}}\n"
    )
    assert refused(text + BASE, _BUILT_IN) == [
        "gateway.yaml:4:12: rate_limit.limits[0].rate: expected a rate such as 10/minute, per second, minute, hour or day",
        "gateway.yaml:4:23: rate_limit.limits[0].burst: expected a whole number, got 'five'",
        "gateway.yaml:5:29: rate_limit.limits[1]: unknown key 'limt'",
        "gateway.yaml:6:19: rate_limit.limits[2].rate.value: expected a whole number, got 'ten'",
    ]


def test_never_shows_a_token() -> None:
    text = (
        "filters:\n"
        "  - token_auth:\n"
        "      providers:\n"
        "        - static: {tokens: [{token: hunter22, user: [hunter22]}, {token: ' hunter33 ', user: u}, hunter22]}\n"
    )
    told = "\n".join(refused(text + BASE, _BUILT_IN))
    assert told.count("\n") == 2
    assert "hunter" not in told


def test_the_revision_follows_the_meaning_and_not_the_spelling() -> None:
    revision = loaded("").revision
    assert len(revision) == 64
    assert (
        loaded("# a comment\nlimits: {pipeline: 8, header_size: 65536}\nlisten: 127.0.0.1:8080\n").revision
        == revision
    )
    assert loaded("limits: {pipeline: 9}\n").revision != revision


def test_the_revision_follows_what_filters_read_beside_the_file(tmp_path: Path) -> None:
    path, own = tmp_path / "gateway.yaml", tmp_path / "own.yaml"
    limits = "{limits: [{name: a, rate: 1/day}], overrides: {file: own.yaml}}"
    path.write_text(f"filters: [rate_limit: {limits}]\n{BASE}")
    found = {}
    for text in ("p1: { a: 2/day }", "p1: { a: 3/day }"):
        own.write_text(text)
        found[text] = load(path, registry=_BUILT_IN, environment={}).revision
        assert load(path, registry=_BUILT_IN, environment={}).with_files().revision == found[text]
    assert len(set(found.values())) == 2
    own.unlink()
    assert load(path, registry=_BUILT_IN, environment={}).revision not in found.values()


def test_a_changed_secret_changes_the_revision_and_shows_nowhere() -> None:
    one, other = loaded("log: {hash_key: hunter22}\n"), loaded("log: {hash_key: hunter23}\n")
    assert one.revision != other.revision
    assert "hunter22" not in str(normal_form(one.configuration))
    assert "hunter22" not in repr(one.configuration)
    key = one.configuration.log.hash_key
    assert key is not None
    assert key.reveal() == "hunter22"
    assert digest(one.configuration.log) != digest(other.configuration.log)


def test_keeps_the_bytes_and_the_directory_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode() + b"log: {hash_key: 'file:sub/key'}\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "key").write_bytes(b"one\ntwo\r\n")
    found = load(path, registry=_SAMPLE, environment={})
    assert found.text == path.read_bytes()
    assert found.directory == tmp_path
    assert found.configuration.log.hash_key == Secret("one\ntwo")


def test_takes_variables_from_the_process_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_TEST_PIPELINE", "5")
    text = BASE + "limits:\n  pipeline: ${WEIR_TEST_PIPELINE}\n"
    assert loads(text, "f", registry=_SAMPLE).configuration.limits.pipeline == 5


def test_a_file_that_cannot_be_read_is_one_plain_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("# Žluť\nlisten: ž".encode("iso-8859-2"))
    for name, message in [
        ("nosuch.yaml", f"{tmp_path}/nosuch.yaml: cannot be read: no such file or directory"),
        (".", f"{tmp_path}: cannot be read: is a directory"),
        ("a\0b", f"{tmp_path}/a\0b: cannot be read: embedded null byte"),
        ("latin.yaml", f"{tmp_path}/latin.yaml:1:3: not UTF-8: byte 0xae"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path / name, registry=_SAMPLE)
        assert [str(problem) for problem in caught.value.problems] == [message]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_one_plain_problem(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.touch(mode=0)
    with pytest.raises(ConfigurationError, match="cannot be read: permission denied"):
        load(path, registry=_SAMPLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "the file 'k' is not UTF-8 text"),
        (b"x" * (64 * 1024 + 1), "the file 'k' cannot be read: larger than 64 KiB"),
    ],
)
def test_a_secret_file_must_be_a_small_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        loads(BASE + "log: {hash_key: file:k}", "f", registry=_SAMPLE, environment={}, directory=tmp_path)
    [problem] = caught.value.problems
    assert (problem.code, problem.message) == ("file", message)


def test_an_entry_keeps_what_stands_beside_its_options() -> None:
    found = loaded("filters: [{gate: {mode: shadow, shadow_percent: 5, when: {method: get}, count: 2}}]\n")
    [entry] = found.configuration.filters
    assert (entry.type, entry.name, entry.mode, entry.shadow_percent) == ("gate", "gate", "shadow", 5.0)
    assert entry.when is not None
    assert entry.when.method == ("GET",)
    assert entry.options.model_dump(include={"count"}) == {"count": 2}


def test_shows_nothing_that_a_terminal_would_obey() -> None:
    told = refused('filters: [{gate: {label: "a \\e[31m b", "x\\ny": 1, numbers: {"c\\nd": z}}}]\n' + BASE)
    assert len(told) == 3
    assert all(line.isprintable() for line in told)


def test_loading_twice_gives_the_same() -> None:
    assert loaded("filters: [mark, mark]\n").configuration == loaded("filters: [mark, mark]\n").configuration


def test_a_filter_that_cannot_be_imported_is_a_problem_at_its_entry() -> None:
    broken = Registry(package="tests.config.sample", entry_points=lambda: ())
    broken._built_in = frozenset({"vanished"})
    [told] = refused("filters: [vanished]\n" + BASE, broken)
    assert told.startswith(
        "gateway.yaml:1:11: filters[0]: the filter 'vanished' cannot be imported: ModuleNotFoundError"
    )


# Whatever a file holds: a configuration, or a ConfigurationError whose every problem has a place.

_WORDS = st.sampled_from(
    [
        *"{}[]:,-?&*!|>'\"%@`#\n\t ",
        *(
            "listen",
            "admin",
            "upstreams",
            "filters",
            "routes",
            "limits",
            "log",
            "hash_key",
            "name",
            "when",
            "mode",
        ),
        *(
            "gate",
            "mark",
            "crash",
            "count",
            "items",
            "rate",
            "password",
            "file:x",
            "path",
            "/{a}",
            "upstream",
            "a",
        ),
        *(
            "http://a:1",
            "127.0.0.1:1",
            "${X}",
            "${",
            "$$",
            "<<",
            "&x ",
            "*x",
            "!!str",
            "---\n",
            "null",
            "~",
            ".nan",
        ),
        *(": ", "\n  ", "\n- ", "\n  - ", "1", "1e999", "0x7", "true", "\0", "\ud800", "é", "\ufeff"),
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_WORDS, max_size=60).map("".join) | st.text(max_size=200))
@example("a: " + "[" * 5000)
@example("? " * 3000)
@example("- &x\n- *x\n")
@example("filters: [crash: {word: x}]")
def test_any_text_loads_or_is_refused(text: str) -> None:
    _loads_or_is_refused(text)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(CASES), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 5), _WORDS), max_size=5)
)
def test_any_damaged_configuration_loads_or_is_refused(text: str, damage: list[tuple[int, int, str]]) -> None:
    for place, length, word in damage:
        text = text[:place] + word + text[place + length :]
    _loads_or_is_refused(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=10,
)
_KEYS = [
    "listen",
    "admin",
    "upstreams",
    "filters",
    "routes",
    "limits",
    "timeouts",
    "via",
    "log",
    "trusted_proxies",
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(_KEYS), _VALUES | st.lists(st.dictionaries(_WORDS, _VALUES, max_size=2), max_size=3)
    )
)
def test_any_values_load_or_are_refused(value: dict[str, object]) -> None:
    _loads_or_is_refused(json.dumps(value))


def _loads_or_is_refused(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        assert len(loads(text, "f", registry=_SAMPLE, environment={"X": "x"}).revision) == 64
    except ConfigurationError as error:
        problems = error.problems or (Problem("f", 0, 0, "none", ""),)
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
        assert str(problem).isprintable()


def test_a_short_value_is_hidden_and_our_own_words_are_not() -> None:
    text = (
        'tracing: {endpoint: "http://a:1", headers: {"no name": x}}\n'
        'upstreams: {a: {endpoints: ["http://a:1"]}}\nroutes: [{name: r, path: /, upstream: a}]\n'
    )
    with pytest.raises(ConfigurationError, match="expected the name of a header field"):
        loads(text, "gateway.yaml", registry=Registry())


def test_where_the_admin_listener_is_can_be_read_whatever_else_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    (tmp_path / "token").write_text("open sesame\n")
    path.write_text(
        "lisen: ${ABSENT}\nadmin: { unix: admin.sock, token: file:token }\nadministrator: ${ABSENT}\nroutes: 7\n"
    )
    admin = load_admin(path, environment={})
    assert admin is not None
    assert admin.token is not None
    assert (admin.unix, admin.token.reveal()) == ("admin.sock", "open sesame")
    path.write_text("routes: []\n")
    assert load_admin(path) == admin_at("127.0.0.1:9901")
    path.write_text("admin: null\n")
    assert load_admin(path) is None
    path.write_text("admin:\n  token: ${ABSENT}\nlisten: ${ABSENT}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_admin(path, environment={})
    assert {problem.key for problem in caught.value.problems} == {"admin", "admin.token"}


def test_files_that_filters_read_are_looked_at_with_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    limit = "{ limits: [ { rate: 1/day } ], overrides: { file: %s } }"
    path.write_text(
        BASE + f"filters:\n  - rate_limit: {limit % 'a.yaml'}\n  - rate_limit: {limit % 'b.yaml'}\n"
    )
    found = load(path, registry=Registry(entry_points=lambda: ()), environment={})
    seen = [found.current_beside()]
    assert found.beside == seen[0]
    for name, text in (("a.yaml", ""), ("a.yaml", "p: blocked"), ("b.yaml", "p: blocked")):
        (tmp_path / name).write_text(text)
        seen.append(found.current_beside())
    (tmp_path / "a.yaml").unlink()
    seen.append(found.current_beside())
    assert len(set(seen)) == 5
    assert found.current_beside() == seen[-1]
