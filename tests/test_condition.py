from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.api.exchange import Exchange
from gateway.api.fact import METHOD, PRINCIPAL, TARGET, header
from gateway.api.principal import Principal
from gateway.api.testing import exchange, guarded
from gateway.condition import When, compile_condition, condition_facts


def holds(when: Mapping[str, Any], exchange: Exchange) -> bool:
    """Whether the condition holds, while nothing but its declared facts can be read."""
    condition = When.model_validate(when)
    return compile_condition(condition)(guarded(exchange, condition_facts(condition)))


def errors(when: object) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as raised:
        When.model_validate(when)
    return [(error["loc"], error["msg"]) for error in raised.value.errors()]


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("/v2/{p}/images", "/v2/7/images", True),
        ("/v2/{p}/images", "/v2/7/images?x", True),
        ("/v2/{p}/images", "/v2/7/%69mages", True),
        ("/v2/{p}/images", "/v2/7/images/", False),
        ("/v2/{rest*}", "/v2/a/b", True),
        (["/a", "/b/{x}"], "/b/1", True),
        (["/a", "/b/{x}"], "/c", False),
    ],
)
def test_path_matches_a_template_or_one_of_several(path: object, target: str, expected: bool) -> None:
    assert holds({"path": path}, exchange("GET", target)) is expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [("POST", True), ("post", True), ("GET", False), (["GET", "POST"], True), (["GET"], False)],
)
def test_method_is_one_or_one_of_several(method: object, expected: bool) -> None:
    assert holds({"method": method}, exchange("POST", "/")) is expected


@pytest.mark.parametrize(
    ("test", "headers", "expected"),
    [
        (True, [("x-a", "")], True),
        (True, [("X-B", "1")], False),
        (False, [("X-B", "1")], True),
        (False, [("x-A", "1")], False),
        ("yes", [("X-A", "yes")], True),
        ("yes", [("X-A", "no"), ("X-A", "yes")], True),
        ("yes", [("X-A", "yes, no")], False),
        ("yes", [("X-A", "YES")], False),
        ("yes", [], False),
        ("é", [("X-A", "\xe9")], True),
        ("žluť", [("X-A", "žluť".encode().decode("latin-1"))], True),
        ({"regex": "v[0-9]+"}, [("X-A", "v12")], True),
        ({"regex": "v[0-9]+"}, [("X-A", "x"), ("X-A", "v12")], True),
        ({"regex": "v[0-9]+"}, [("X-A", "v12x")], False),
        ({"regex": "v[0-9]+|x"}, [("X-A", "v1x")], False),
        ({"regex": ".*"}, [], False),
    ],
)
def test_header_is_present_absent_equal_or_like(
    test: object, headers: list[tuple[str, str]], expected: bool
) -> None:
    assert holds({"header": {"X-A": test}}, exchange(headers=headers)) is expected


def test_several_headers_must_all_hold() -> None:
    when = {"header": {"X-A": True, "X-B": False, "X-C": "c"}}
    assert holds(when, exchange(headers={"X-A": "1", "X-C": "c"}))
    assert not holds(when, exchange(headers={"X-A": "1", "X-B": "", "X-C": "c"}))
    assert not holds(when, exchange(headers={"X-A": "1"}))


@pytest.mark.parametrize(
    ("role", "roles", "expected"),
    [
        ("admin", ("reader", "Admin"), True),
        ("ADMIN", ("admin",), True),
        (["admin", "member"], ("member",), True),
        (["admin", "member"], ("reader",), False),
        ("admin", (), False),
        ("admin", None, False),
    ],
)
def test_role_is_one_the_principal_has(role: object, roles: tuple[str, ...] | None, expected: bool) -> None:
    principal = None if roles is None else Principal(roles=roles)
    assert holds({"role": role}, exchange(principal=principal)) is expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"method": "GET", "path": "/a"}, True),
        ({"method": "GET", "path": "/b"}, False),
        ({"method": "GET", "path": "/a", "header": {"X-A": False}, "role": "r"}, True),
        ({"method": "GET", "path": "/a", "header": {"X-A": False}, "role": "s"}, False),
        ({"not": {"method": "GET"}}, False),
        ({"not": {"method": "GET", "path": "/b"}}, True),
        ({"any": [{"method": "PUT"}, {"path": "/a"}]}, True),
        ({"any": [{"method": "PUT"}, {"path": "/b"}]}, False),
        ({"any": [{"method": "GET"}], "path": "/b"}, False),
        ({"all": [{"method": "GET"}, {"path": "/a"}]}, True),
        ({"all": [{"method": "GET"}, {"path": "/b"}, {"role": "r"}]}, False),
        ({"all": [{"any": [{"not": {"role": "s"}}]}]}, True),
    ],
)
def test_conditions_combine(when: dict[str, Any], expected: bool) -> None:
    assert holds(when, exchange("GET", "/a", principal=Principal(roles=("r",)))) is expected


def test_facts_are_those_that_are_read_and_no_others() -> None:
    when = When.model_validate(
        {"method": "GET", "any": [{"path": "/a"}, {"header": {"X-A": True}}], "not": {"all": [{"role": "r"}]}}
    )
    assert condition_facts(when) == {METHOD, TARGET, header("x-a"), PRINCIPAL}
    assert condition_facts(When.model_validate({"header": {"X-B": "1"}})) == {header("x-b")}


@pytest.mark.parametrize(
    ("when", "loc", "message"),
    [
        ({}, (), "at least one of"),
        ({"path": None}, (), "at least one of"),
        ({"not": {}}, ("not",), "at least one of"),
        ({"any": [{"method": "GET"}, {}]}, ("any", 1), "at least one of"),
        ({"path": "/a//b"}, ("path",), "empty segments"),
        ({"path": ["/a", "b"]}, ("path", 1), "begins with"),
        ({"path": 5}, ("path",), "text or a list"),
        ({"path": []}, ("path",), "at least 1"),
        ({"method": "G T"}, ("method",), "not a method"),
        ({"method": ["GET", ""]}, ("method", 1), "not a method"),
        ({"role": ""}, ("role",), "name"),
        ({"role": []}, ("role",), "at least 1"),
        ({"header": {}}, ("header",), "at least 1"),
        ({"header": {"X-A": {"regex": "("}}}, ("header", "X-A", "regex"), "not a regular expression"),
        ({"header": {"X-A": {"regx": "a"}}}, ("header", "X-A", "regx"), "not permitted"),
        ({"header": {"X-A": 3}}, ("header", "X-A"), "expected true"),
        ({"header": {"X-A": None}}, ("header", "X-A"), "expected true"),
        ({"header": {"X A": True}}, ("header", "X A", "[key]"), "not a header name"),
        ({"all": []}, ("all",), "at least 1"),
        ({"any": [{"bad": 1}]}, ("any", 0, "bad"), "not permitted"),
        ({"not_": {"method": "GET"}}, ("not_",), "not permitted"),
    ],
)
def test_what_is_wrong_is_said_at_its_key(when: object, loc: tuple[str | int, ...], message: str) -> None:
    found = errors(when)
    assert any(place == loc and message in said for place, said in found), found


def test_every_error_is_said_once_and_all_at_once() -> None:
    found = errors({"path": "a", "header": {"X-A": 3}, "not": {"method": 1}})
    assert sorted(loc for loc, _ in found) == [("header", "X-A"), ("not", "method"), ("path",)]


def test_a_condition_survives_its_normal_form() -> None:
    when = When.model_validate(
        {"path": "/a", "header": {"X-A": {"regex": "a"}, "X-B": True}, "not": {"role": "r"}}
    )
    assert When.model_validate(when.model_dump(mode="json", by_alias=True)) == when
    assert hash(When.model_validate({"path": "/a"})) == hash(When.model_validate({"path": ["/a"]}))


ATOMS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"method": "GET"}, {"path": "/a"}, {"role": "r"}, {"header": {"X-A": True}}]
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda parts: (
        st.lists(parts, min_size=1, max_size=3).map(lambda found: {"all": found})
        | st.lists(parts, min_size=1, max_size=3).map(lambda found: {"any": found})
        | parts.map(lambda found: {"not": found})
        | st.tuples(ATOMS, parts.filter(lambda found: "all" in found or "not" in found)).map(
            lambda pair: {**pair[0], **pair[1]}
        )
    ),
    max_leaves=8,
)


def told(when: dict[str, Any], atoms: dict[str, bool]) -> bool:
    """What the condition says, read key by key."""
    for key, value in when.items():
        if key == "all":
            held = all(told(part, atoms) for part in value)
        elif key == "any":
            held = any(told(part, atoms) for part in value)
        elif key == "not":
            held = not told(value, atoms)
        else:
            held = atoms[key]
        if not held:
            return False
    return True


@settings(deadline=None)
@given(CONDITIONS, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_compiled_conditions_agree_with_their_reading(
    when: dict[str, Any], method: bool, path: bool, role: bool, header: bool
) -> None:
    subject = exchange(
        "GET" if method else "PUT",
        "/a" if path else "/b",
        headers={"X-A": "1"} if header else {},
        principal=Principal(roles=("R",)) if role else None,
    )
    assert holds(when, subject) == told(
        when, {"method": method, "path": path, "role": role, "header": header}
    )


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("regex:/v[12]/(images|flavors)", "/v1/flavors", True),
        ("regex:/v[12]/(images|flavors)", "/v2/%69mages?x", True),
        ("regex:/v[12]/(images|flavors)", "/v2/images/7", False),
        (["/a", "regex:/b.*"], "/bc/d", True),
    ],
)
def test_path_matches_a_regular_expression_as_a_whole(path: object, target: str, expected: bool) -> None:
    assert holds({"path": path}, exchange("GET", target)) is expected


def test_an_expression_that_could_run_for_long_is_refused() -> None:
    ((where, message),) = errors({"path": ["/a", "regex:(a+)+b"]})
    assert where == ("path", 1)
    assert "may match for ever" in message
    ((where, message),) = errors({"header": {"X-A": {"regex": "(a+)+b"}}})
    assert where == ("header", "X-A", "regex")
    assert "may match for ever" in message


def test_where_a_path_is_too_long_for_an_expression_the_entry_sees_the_request() -> None:
    long = exchange("GET", "/" + "a" * 3000)
    expression = {"path": "regex:/b+"}
    for when in (
        expression,
        {"not": expression},
        {"not": {"not": expression}},
        {"any": [{"method": "PUT"}, expression]},
        {"all": [{"method": "GET"}, {"not": {"any": [{"method": "PUT"}, expression]}}]},
    ):
        assert holds(when, long), when
    assert not holds({"method": "PUT", **expression}, long)
