"""Access rules: what they allow, and that none of them can hold the gateway up."""

import re
from time import process_time
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.token_auth import access_rule
from filters.token_auth.access_rule import MAX_RULES, AccessRule, AccessRules, read_rules


def allows(pattern: str, path: str) -> bool:
    return AccessRules([AccessRule("compute", "GET", pattern)], "compute").allow("GET", path)


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("/v2.1/servers", "/v2.1/servers", True),
        ("/v2.1/servers", "/v2X1/servers", False),
        ("/v2.1/servers", "/v2.1/servers/", False),
        ("/v2.1/servers", "/v2.1/servers\n", False),
        ("/v2.1/servers", "/v2.1/servers%0A", False),
        ("/v2.1/servers", "/a/v2.1/servers", False),
        ("/v2.1/servers/*", "/v2.1/servers/s1", True),
        ("/v2.1/servers/*", "/v2.1/servers/", False),
        ("/v2.1/servers/*", "/v2.1/servers/s1/action", False),
        ("/v2.1/servers/*", "/v2.1/servers/s1%2Faction", False),
        ("/v2.1/servers/{id}/ips", "/v2.1/servers/s1/ips", True),
        ("/v2.1/servers/{id}/ips", "/v2.1/servers//ips", False),
        ("/v2.1/servers/a{id}", "/v2.1/servers/a1", True),
        ("/v2.1/servers/a{id}", "/v2.1/servers/b1", False),
        ("/v2.1/**", "/v2.1/", True),
        ("/v2.1/**", "/v2.1/servers/s1/action", True),
        ("/v2.1/**", "/v2.0/servers", False),
        ("/v2.1/**/action", "/v2.1/servers/s1/action", True),
        ("/v2.1/**/action", "/v2.1/action", False),
        ("**", "/anything/at/all", True),
        ("/v2.1/**", "/v2.1/../v3/users", False),
        ("/v2.1/**", "/v2.1/%2e%2E/v3/users", False),
        ("/v2.1/**", "/v2.1/./servers", False),
        ("/v2.1/**", "/v2.1/a..b", True),
        ("/v2.1/**", "/v2.1/a/..", False),
        ("/v2.1/**", "/v2.1/images/..;/flavors", False),
        ("/v2.1/**", "/v2.1/images/..;x=1/flavors", False),
        ("/v2.1/**", "/v2.1/images/.%3B/flavors", False),
        ("/v2.1/**", "/v2.1/images/..%3b/flavors", False),
        ("/v2.1/**", "/v2.1/images/..\\flavors", False),
        ("/v2.1/**", "/v2.1/images/%5c..%5Cflavors", False),
        ("/v2.1/**", "/v2.1/images%5c.%2e", False),
        ("/v2.1/images/*/members", "/v2.1/images/..;/members", False),
        ("/v2.1/**", "/v2.1/images/...;a/..a;/.a%5cb", True),
        ("**", "../x", False),
        ("/v2.1/a b", "/v2.1/a%20b", True),
        ("/v2.1/\u00e9", "/v2.1/%C3%A9", True),
        ("/v2.1/(a|b)+", "/v2.1/a", False),
        ("/v2.1/(a|b)+", "/v2.1/(a|b)+", True),
        ("/v2.1/[", "/v2.1/[", True),
        ("/v2.1/{", "/v2.1/{", True),
        ("/v2.1/{}", "/v2.1/a", False),
        ("/v2.1/{a/b}", "/v2.1/x", False),
        ("", "", True),
        ("/", "/" * 5000, False),
        ("/**", "/" + "a" * 5000, False),
    ],
)
def test_a_path_is_matched_whole(pattern: str, path: str, allowed: bool) -> None:
    assert allows(pattern, path) is allowed


def test_method_and_service_are_those_of_the_rule() -> None:
    rules = AccessRules(
        [
            AccessRule("compute", "GET", "/a"),
            AccessRule("compute", "POST", "/b"),
            AccessRule("image", "GET", "/c"),
        ],
        "compute",
    )
    allowed = {
        (method, path)
        for method in ("GET", "POST", "PUT")
        for path in ("/a", "/b", "/c")
        if rules.allow(method, path)
    }
    assert allowed == {("GET", "/a"), ("POST", "/b")}
    assert not AccessRules([AccessRule("compute", "GET", "/a")], None).allow("GET", "/a")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v2.1/servers", True),
        ("/compute/v2.1/servers", True),
        ("/c%6Fmpute/v2.1/servers", True),
        ("/compute/nova/v2.1/servers", True),
        ("/compute", False),
        ("/compute/", False),
        ("/compute//v2.1/servers", False),
        ("/compute/compute/v2.1/servers", False),
        ("/computev2.1/servers", False),
        ("/compute%2Fv2.1/servers", False),
        ("/compute;/v2.1/servers", False),
        ("/image/v2.1/servers", False),
        ("/compute/../v2.1/servers", False),
    ],
)
def test_what_stands_before_the_path_is_left_out_once(path: str, allowed: bool) -> None:
    rules = AccessRules(
        [AccessRule("compute", "GET", "/v2.1/servers")], "compute", ["/compute", "/compute/nova"]
    )
    assert rules.allow("GET", path) is allowed


def test_a_rule_that_names_what_is_left_out_allows_nothing() -> None:
    rule = AccessRule("compute", "GET", "/compute/**")
    assert AccessRules([rule], "compute").allow("GET", "/compute/a")
    assert not AccessRules([rule], "compute", ["/compute"]).allow("GET", "/compute/a")


def by_expression(pattern: str) -> re.Pattern[bytes]:
    """The same rule as an expression: slow on purpose-made paths, and right."""
    kinds = {"**": r".*", "*": r"[^/]+"}
    parts = re.split(r"(\*\*|\*|\{[^/}]+\})", pattern)
    return re.compile(
        "".join(
            kinds.get(
                part,
                r"[^/]+"
                if part.startswith("{") and part.endswith("}") and len(part) > 2
                else re.escape(part),
            )
            for part in parts
        ).encode(),
        re.DOTALL,
    )


PATTERNS = st.lists(st.sampled_from(["/", "a", "b", ".", "é", "{", "*", "**", "{id}"]), max_size=9).map(
    "".join
)
DOTS = st.lists(st.sampled_from([".", "%2e", ";", "%3B", "/", "%2f", "\\", "%5C", "a"]), max_size=8).map(
    "".join
)


@given(DOTS)
def test_no_rule_allows_what_any_server_may_read_as_another_path(rest: str) -> None:
    plain = unquote(rest).replace("\\", "/").split("/")
    resolved = any(segment.partition(";")[0] in (".", "..") for segment in plain)
    assert allows("/v2.1/**", "/v2.1/" + rest) is not resolved


PATHS = st.lists(st.sampled_from(["/", "a", "b", "c", "é", "\n"]), max_size=12).map("".join)


@settings(max_examples=1000)
@given(st.lists(PATTERNS, max_size=4), PATHS)
@example(["***"], "a/b")
@example(["a**", "b"], "ab")
def test_matches_as_an_expression_would(patterns: list[str], path: str) -> None:
    rules = AccessRules([AccessRule("s", "GET", pattern) for pattern in patterns], "s")
    assert rules.allow("GET", path) == any(
        by_expression(pattern).fullmatch(path.encode()) for pattern in patterns
    )


@pytest.mark.parametrize("piece", ["**a", "*a", "{x}a", "*", "**", "**/", "a"])
@pytest.mark.parametrize("times", [1, 40, 2000])
def test_no_rule_takes_long(piece: str, times: int) -> None:
    rules = [AccessRule("s", "GET", "/" + piece * times + f"b{number}") for number in range(MAX_RULES)]
    judged = AccessRules(rules, "s")
    before = process_time()
    for _ in range(10):
        assert not judged.allow("GET", "/" + "a" * 4000)
    assert process_time() - before < 1.0  # an expression would take longer than the universe has


def test_many_rules_of_the_usual_kind_are_all_judged() -> None:
    rules = [
        AccessRule("s", "GET", f"/v2.1/{kind}/{{id}}/os-volume_attachments/*/{'**/' * 9}{number}")
        for kind in ("servers", "images")
        for number in range(MAX_RULES // 2)
    ]
    judged = AccessRules(rules, "s")
    for rule in rules:
        path = rule.path.replace("{id}", "a" * 36).replace("**", "a" * 20).replace("*", "b" * 36)
        assert judged.allow("GET", path)
        assert not judged.allow("GET", path + "/")


def test_what_has_not_been_allowed_in_time_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = AccessRules([AccessRule("s", "GET", "/a/**b"), AccessRule("s", "GET", "/a/*")], "s")
    assert rules.allow("GET", "/a/c")
    for steps, allowed in ((2, False), (3, True)):  # two for the first rule
        monkeypatch.setattr(access_rule, "MAX_WORK", steps * (access_rule.STEP + len("/a/c")))
        assert rules.allow("GET", "/a/c") is allowed


def test_a_credential_with_too_many_rules_may_do_nothing() -> None:
    rules = [AccessRule("s", "GET", "/a")] * (MAX_RULES + 1)
    assert AccessRules(rules[1:], "s").allow("GET", "/a")
    assert not AccessRules(rules, "s").allow("GET", "/a")


def test_rules_are_read_from_a_credential() -> None:
    assert read_rules(None, "s") is None
    assert read_rules({"id": "c"}, "s") is None
    found = read_rules({"access_rules": [{"id": "r", "service": "s", "method": "GET", "path": "/a"}]}, "s")
    assert found is not None and found.allow("GET", "/a")
    none = read_rules({"access_rules": []}, "s")
    assert none is not None and not none.allow("GET", "/a")


@pytest.mark.parametrize(
    "value", [1, [], {"access_rules": 1}, {"access_rules": [1]}, {"access_rules": [{"path": "/"}]}]
)
def test_what_is_no_rule_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"application_credential|access_rules"):
        read_rules(value, "s")
