"""The options of one limit."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters.rate_limit.option import LimitOptions, Rate, RateLimitConfig


def limit(**options: Any) -> LimitOptions:
    return LimitOptions.model_validate({"rate": "10/minute", **options})


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("10/minute", (10, "minute")),
        ("10/minutes", (10, "minute")),
        (" 5 / s ", (5, "second")),
        ("5 per hour", (5, "hour")),
        ("1/DAY", (1, "day")),
        ({"value": 3, "unit": "d"}, (3, "day")),
        ({"value": 3, "unit": "MINUTE"}, (3, "minute")),
    ],
)
def test_reads_a_rate(rate: Any, expected: tuple[int, str]) -> None:
    made = limit(rate=rate).rate
    assert (made.value, made.unit) == expected


def test_limits_are_called_by_their_names_and_those_of_groups_where_these_are_not_enough() -> None:
    def labels(*groups: tuple[str, list[str | None]], own: str | None = None) -> list[str | None]:
        options = {
            "limits": [{"rate": "1/day", "name": own}],
            "groups": [
                {
                    "name": name,
                    "for": {"roles": [name]},
                    "limits": [{"rate": "1/day", "name": one} for one in each],
                }
                for name, each in groups
            ],
        }
        return list(RateLimitConfig.model_validate(options).labels())

    assert labels(("a", ["w", None]), ("b", ["x", None]), own="o") == ["o", "w", None, "x", None]
    assert labels(("a", ["w"]), ("b", ["w", "x"])) == [None, "a.w", "b.w", "x"]
    # One that is called so already keeps neither name: then both are told by their places.
    assert labels(("a", ["w"]), ("b", ["w"]), own="a.w") == [None, None, "b.w"]


@pytest.mark.parametrize(
    "rate", ["ten", "10", "10/week", "-1/minute", "0/minute", "1.5/minute", "10/", {"value": 3}, 10]
)
def test_refuses_what_is_no_rate(rate: Any) -> None:
    with pytest.raises(ValidationError):
        limit(rate=rate)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": []}, "at least 1 item"),
        ({"key": ["tenant"]}, "expected project_id"),
        ({"key": ["header:"]}, "or header:NAME"),
        ({"key": ["header:A B"]}, "or header:NAME"),
        ({"methods": ["GET POST"]}, "not a method"),
        ({"path": "v2/servers"}, "begins with /"),
        ({"path": "/v2/{project"}, "as {name}"),
        ({"path": "/v2/{}"}, "as {name}"),
        ({"path": "regex:["}, "not a regular expression"),
        ({"path": "/v2/{a}/{a}"}, "not a template"),
        ({"path": "/v2/{a}-{b}-{c}.json"}, "three parameters side by side"),
        ({"path": "/{a*}/{b*}/{c*}"}, "three parameters side by side"),
        ({"burst": 0}, "greater than or equal to 1"),
        ({"burst": 5, "algorithm": "fixed_window"}, "burst has no meaning"),
        ({"algorithm": "sliding"}, "gcra"),
        ({"uri": ""}, "at least 1 character"),
        ({"verb": "GET"}, "Extra inputs"),
    ],
)
def test_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        limit(**options)


def test_defaults() -> None:
    made = limit()
    assert (made.key, made.methods, made.path, made.burst, made.algorithm) == (
        ("project_id",),
        (),
        None,
        None,
        "gcra",
    )


def test_methods_are_upper_case() -> None:
    assert limit(methods=["get", "POST"]).methods == ("GET", "POST")


def test_the_schema_takes_both_forms_of_a_rate() -> None:
    text, mapping = Rate.model_json_schema()["anyOf"]
    assert text["type"] == "string"
    assert set(mapping["properties"]) == {"value", "unit"}
    assert LimitOptions.model_json_schema()["required"] == ["rate"]


def numbers(*limits: dict[str, Any], **options: Any) -> tuple[int, ...]:
    rated = [{"rate": "10/minute", **one} for one in limits]
    return RateLimitConfig.model_validate({"limits": rated, **options}).numbers()


@pytest.mark.parametrize(
    "options",
    [
        {"status": 429},
        {"uri": "/a"},
        {"burst": 10},
        {"methods": ["POST", "get"]},
        {
            "cost": {
                "default": 2,
                "methods": {"PUT": 4, "GET": 3},
                "header": "X-Cost",
                "max": 9,
                "strip": True,
            }
        },
    ],
)
def test_a_limit_is_known_by_what_it_counts_and_not_by_how_it_answers(options: dict[str, Any]) -> None:
    cost = {"default": 2, "methods": {"GET": 3, "PUT": 4}, "header": "X-Cost", "max": 9}
    plain: dict[str, Any] = {"cost": cost} if "cost" in options else {"methods": ["GET", "POST"]}
    if not {"burst", "status", "uri"}.isdisjoint(options):
        plain = {}
    assert numbers(options) == numbers(plain)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a"},
        {"rate": "10/second"},
        {"burst": 3},
        {"algorithm": "fixed_window"},
        {"key": ["user_id"]},
        {"methods": ["GET"]},
        {"path": "/a"},
        {"query": ["a"]},
        {"cost": 2},
    ],
)
def test_a_limit_that_counts_otherwise_is_another(options: dict[str, Any]) -> None:
    assert numbers(options) != numbers({})


def test_limits_are_known_wherever_they_stand_and_the_same_ones_apart() -> None:
    first, second, third = numbers({}, {}, {"name": "a"})
    assert len({first, second, third}) == 3
    assert numbers({"name": "a"}, {"name": "b"}, {})[::2] == (third, first)


def test_a_group_is_known_by_its_name_whoever_is_in_it() -> None:
    def of_group(name: str, role: str) -> int:
        group = {"name": name, "for": {"roles": [role]}, "limits": [{"rate": "10/minute"}]}
        return numbers({}, groups=[group])[1]

    assert of_group("a", "admin") == of_group("a", "member")
    assert of_group("a", "admin") != of_group("b", "admin")


@pytest.mark.parametrize(
    ("options", "told", "terse"),
    [
        ({}, "*", None),
        ({"path": "regex:/v2/.*"}, "/v2/.*", None),
        ({"path": "regex:/v2/.*", "uri": "/v2/.*"}, "/v2/.*", None),
        ({"path": "regex:/v2/.*", "uri": "/v2/*"}, "/v2/*", "/v2/*"),
    ],
)
def test_what_clients_are_told_it_is_for(options: dict[str, Any], told: str, terse: str | None) -> None:
    made = limit(**options)
    assert (made.told, made.terse().uri) == (told, terse)
