"""JSON bodies: strictness, depth, duplicate keys, and the rules for metadata."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.json_body import JSONBody
from gateway.api import Body, Fault, Verdict
from gateway.api.testing import StreamBody, build, exchange, judge


def verdict_on(
    raw: str | bytes,
    options: dict[str, Any] | None = None,
    *,
    method: str = "POST",
    params: dict[str, str] | None = None,
) -> Verdict:
    body = raw if isinstance(raw, bytes) else raw.encode()
    whole = judge(build(JSONBody, options), exchange(method, body=body, params=params))
    streamed = judge(
        build(JSONBody, options), exchange(method, body=StreamBody([body[:3], body[3:]]), params=params)
    )
    assert streamed == whole
    return whole


def reason_of(raw: str | bytes, options: dict[str, Any] | None = None, **more: Any) -> str | None:
    verdict = verdict_on(raw, options, **more)
    if verdict is None:
        return None
    assert isinstance(verdict, Fault)
    assert verdict.status == (413 if verdict.reason == "body_too_large" else 400)
    return verdict.reason


@pytest.mark.parametrize(
    "raw",
    [
        "{}",
        "[]",
        "null",
        '"text"',
        "-0.5e-3",
        ' {"a": [1, true, {"b": null}]} \r\n\t',
        '"\\ud83d\\ude00"',
        '"\\u0000"',
        '"a\x7f\u2028"',
        '{"time": "12:30", "url": "http://a/:b"}',
        '{"a": {"x": 1}, "b": {"x": 1}}',
        "1e999",
        '{"n": -1E400}',
        "123456789012345678901234567890",
        '{"a:b": 1e999, "c": "::"}',
    ],
)
def test_valid_json_passes(raw: str) -> None:
    assert verdict_on(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"Infinity",
        b'{"a": -Infinity}',
        b"1e999 NaN",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'{"\\udfff": 1e999}',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"a\nb"',
        b'"\x00"',
        b"'a'",
        b"[1,]",
        b"{1: 2}",
        b'{"a" 1}',
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"{} {}",
        b"{}\x00",
        b"// a\n1",
        b" ",
        b"nul",
        b"{",
        b'"\\x41"',
        b'"never ends',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32-be"),
    ],
)
def test_answers_400_to_what_is_not_strict_json(raw: bytes) -> None:
    assert verdict_on(raw) == Fault(400, "json_invalid", "The request body is not valid JSON.")


@pytest.mark.parametrize(
    "raw",
    ['{"a": 1, "a": 1}', '{"a": 1, "\\u0061": 2}', '[{"x": {"b": ":", "b": 1}}]', '{"a": 1e999, "a": 0}'],
)
def test_a_key_named_twice_is_refused_unless_the_last_may_win(raw: str) -> None:
    verdict = verdict_on(raw)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (400, "json_duplicate_key", ("duplicate_keys",))
    assert verdict_on(raw, {"duplicate_keys": "last"}) is None


def test_depth_counts_arrays_and_objects_that_are_open_at_once() -> None:
    options = {"max_depth": 3}
    assert verdict_on('{"a": [{"b": 1}]}', options) is None
    assert verdict_on("[[], [], [[]], {}, {}]", options) is None
    assert verdict_on('["[[[[[[", "\\"[[[[{{{", "\\\\"]', options) is None
    verdict = verdict_on('{"a": [{"b": []}]}', options)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (400, "json_too_deep", ("max_depth",))


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 20_000, b"[" * 50_000 + b"]" * 50_000, b'["\\", [[' + b"[" * 90_000]
)
@pytest.mark.parametrize("depth", [1, 256])
def test_hostile_depth_is_refused_before_a_parser_recurses(raw: bytes, depth: int) -> None:
    verdict = judge(build(JSONBody, {"max_depth": depth}), exchange("POST", body=raw))
    assert isinstance(verdict, Fault)
    assert verdict.status == 400
    assert verdict.reason in {"json_too_deep", "json_invalid"}


@pytest.mark.parametrize(
    "raw", [b'"' + b'\\"' * 57_000, b'"' * 114_000, b'"\\' * 57_000, b"[" + b'"' + b"\\" * 114_000]
)
def test_hostile_strings_are_scanned_once(raw: bytes) -> None:
    # A scan that began anew at every quote would take minutes here and end in the test's time limit.
    brackets = b"[" * 40
    verdict = judge(build(JSONBody), exchange("POST", body=(raw + brackets)[: 112 * 1024]))
    assert isinstance(verdict, Fault)
    assert verdict.status == 400


@pytest.mark.parametrize("raw", ["1" * 100_000, '{"a": -' + "9" * 100_000 + "}", "0." + "1" * 100_000])
def test_huge_numbers_are_numbers(raw: str) -> None:
    assert verdict_on(raw) is None


def test_the_deepest_allowed_body_passes_every_reader() -> None:
    options = {"max_depth": 256}
    assert verdict_on("[" * 256 + "1e999" + "]" * 256, options) is None
    assert verdict_on('{":":' * 256 + "1" + "}" * 256, options) is None
    assert reason_of('{":":' * 257 + "1" + "}" * 257, options) == "json_too_deep"


def test_answers_413_to_a_body_over_max_size() -> None:
    options = {"max_size": 10}
    assert verdict_on(b'"12345678"', options) is None
    expected = Fault(
        413,
        "body_too_large",
        "Request body is too large.",
        rule=("max_size",),
        details="At most 10 bytes are accepted.",
    )
    assert verdict_on(b'"123456789"', options) == expected
    body = StreamBody([b"never read"], length=11)
    assert judge(build(JSONBody, options), exchange("POST", body=body)) == expected
    assert body.complete is None


def test_only_the_named_methods_are_judged() -> None:
    assert verdict_on("garbage", method="DELETE") is None
    assert [reason_of("garbage", method=method) for method in ("POST", "PUT", "PATCH")] == [
        "json_invalid"
    ] * 3
    assert verdict_on("garbage", {"methods": ["put"]}, method="POST") is None
    assert reason_of("garbage", {"methods": ["put"]}, method="PUT") == "json_invalid"


def test_a_complete_body_is_judged_without_waiting() -> None:
    verdict = build(JSONBody).on_request(exchange("POST", body=b"garbage"))
    assert isinstance(verdict, Fault)


def test_an_empty_body_passes_unless_metadata_is_asked_for() -> None:
    assert verdict_on(b"") is None
    assert judge(build(JSONBody), exchange("POST", body=StreamBody([]))) is None
    for metadata in ("set", "item"):
        verdict = verdict_on(b"", {"metadata": metadata}, params={"key": "a"})
        assert isinstance(verdict, Fault)
        assert (verdict.status, verdict.reason) == (400, "metadata_invalid")
    assert verdict_on(b"", {"metadata": "set"}, method="GET") is None


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.text(':{}[]\\"', max_size=5),
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def depth_of(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + max(map(depth_of, document.values()), default=0)
    if isinstance(document, list):
        return 1 + max(map(depth_of, document), default=0)
    return 0


@given(documents, st.booleans(), st.sampled_from([None, 1, "\t"]), st.integers(1, 6))
def test_passes_every_document_that_is_not_too_deep(
    document: Any, ascii: bool, indent: Any, limit: int
) -> None:
    raw = json.dumps(document, ensure_ascii=ascii, indent=indent)
    expected = "json_too_deep" if depth_of(document) > limit else None
    assert reason_of(raw, {"max_depth": limit}) == expected


def oracle(raw: bytes) -> str | None:
    """What the standard library says, with the rules put in."""
    duplicates = False

    def pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal duplicates
        duplicates = duplicates or len(dict(pairs)) != len(pairs)
        return dict(pairs)

    def constant(name: str) -> None:
        raise ValueError(name)

    try:
        document = json.loads(raw.decode(), object_pairs_hook=pairs, parse_constant=constant)
        if re.search(r"[\ud800-\udfff]", json.dumps(document, ensure_ascii=False)):
            return "json_invalid"
    except ValueError:
        return "json_invalid"
    return "json_duplicate_key" if duplicates else None


fragments = st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            '"a"',
            '"b"',
            '"a:"',
            '"\\u0061"',
            '"\\ud800"',
            '"\\ud83d\\ude00"',
            "1",
            "-",
            "0",
            "1e999",
            "1.5",
            "NaN",
            "Infinity",
            "true",
            "null",
            " ",
            "\n",
            "\ufeff",
            '"',
            "\\",
            "\x00",
        ]
    ),
    max_size=12,
).map(lambda parts: "".join(parts).encode())
objects = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "\\u0061", "a:", ""]), st.sampled_from(["1", '":"', "{}", '{"a":1,"a":2}'])
    ),
    max_size=5,
).map(lambda pairs: ("{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}").encode())


@given(st.one_of(fragments, objects, st.binary(max_size=20), st.text(max_size=20).map(str.encode)))
def test_accepts_exactly_what_the_standard_library_accepts_within_the_rules(raw: bytes) -> None:
    if raw:
        found = reason_of(raw)
        assert (found is None) is (oracle(raw) is None)
        if found is not None and oracle(raw) == "json_duplicate_key":
            assert found == "json_duplicate_key"


KEY_255 = "k" * 255


@pytest.mark.parametrize(
    "document",
    [
        {"metadata": {}},
        {"metadata": {"Owner": "John, Doe", "com.rackspace__1__options": "0", "a:b c.d_e-f": ""}},
        {"metadata": {KEY_255: "v" * 255}},
        {"metadata": {"k": "\u017elu\u0165 \U0001f600 http://a:b"}},
        {"metadata": {"k": "\U0001f600" * 255}},
    ],
)
def test_a_metadata_set_passes(document: Any) -> None:
    assert verdict_on(json.dumps(document), {"metadata": "set"}) is None
    assert verdict_on(json.dumps(document, ensure_ascii=False), {"metadata": "set"}) is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "metadata",
        {},
        {"meta": {"k": "v"}},
        {"Metadata": {"k": "v"}},
        {"metadata": {"k": "v"}, "other": {}},
        {"metadata": None},
        {"metadata": [["k", "v"]]},
        {"metadata": {"": "v"}},
        {"metadata": {KEY_255 + "k": "v"}},
        {"metadata": {"a/b": "v"}},
        {"metadata": {"a\n": "v"}},
        {"metadata": {"\u017elu\u0165": "v"}},
        {"metadata": {"\u0661": "v"}},
        {"metadata": {"k": "v" * 256}},
        {"metadata": {"k": 1}},
        {"metadata": {"k": None}},
        {"metadata": {"k": True}},
        {"metadata": {"k": {"a": "b"}}},
        {"metadata": {"good": "v", "k": ["v"]}},
    ],
)
def test_a_metadata_set_that_breaks_a_rule_is_refused(document: Any) -> None:
    verdict = verdict_on(json.dumps(document), {"metadata": "set"})
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (400, "metadata_invalid", ("metadata",))


def test_a_set_has_at_most_max_items() -> None:
    options = {"metadata": "set", "max_items": 2}
    assert verdict_on('{"metadata": {"a": "1", "b": "2"}}', options) is None
    verdict = verdict_on('{"metadata": {"a": "1", "b": "2", "c": "3"}}', options)
    assert isinstance(verdict, Fault)
    assert (verdict.reason, verdict.rule) == ("metadata_invalid", ("max_items",))


def test_an_item_is_one_entry_with_the_key_of_the_path() -> None:
    def rule(raw: str, params: dict[str, str], **options: str) -> Any:
        verdict = verdict_on(raw, {"metadata": "item", **options}, method="PUT", params=params)
        return verdict.rule if isinstance(verdict, Fault) else None

    label = {"key": "label"}
    assert rule('{"meta": {"label": "Replaced"}}', label) is None
    assert rule('{"meta": {"a b": "c"}}', {"name": "a b"}, key_param="name") is None
    assert rule('{"meta": {"other": "Replaced"}}', label) == ("key_param",)
    assert rule('{"meta": {"Label": "Replaced"}}', label) == ("key_param",)
    assert rule('{"meta": {"label": "Replaced"}}', {}) == ("key_param",)
    assert rule('{"meta": {}}', label) == ("metadata",)
    assert rule('{"meta": {"label": "a", "other": "b"}}', label) == ("metadata",)
    assert rule('{"metadata": {"label": "a"}}', label) == ("metadata",)
    assert rule('{"meta": {"label": 1}}', label) == ("metadata",)
    assert rule('{"meta": {"a/b": "c"}}', {"key": "a/b"}) == ("metadata",)


@given(
    st.dictionaries(st.text("ab:-_. /\n\u017e", max_size=3), st.one_of(st.text(max_size=3), st.integers()))
)
def test_a_set_passes_exactly_if_every_entry_keeps_the_rules(entries: dict[str, Any]) -> None:
    keeps = all(
        re.fullmatch(r"[a-zA-Z0-9\-_:. ]{1,255}", key) and isinstance(value, str)
        for key, value in entries.items()
    )
    assert (verdict_on(json.dumps({"metadata": entries}), {"metadata": "set"}) is None) is keeps


@pytest.mark.parametrize("raw", ['{"metadata": {"secret key!": "v"}}', '{"metadata": {"k": 1}, "secret": 1}'])
def test_no_refusal_echoes_the_body(raw: str) -> None:
    verdict = verdict_on(raw, {"metadata": "set"})
    assert isinstance(verdict, Fault)
    assert "secret" not in f"{verdict.message} {verdict.details}"


def test_the_body_is_forwarded_as_it_came() -> None:
    raw = b' {"metadata": {"Label": "\\u00fc"}} '
    made = exchange("POST", body=StreamBody([raw[:5], raw[5:]]))
    assert judge(build(JSONBody, {"metadata": "set"}), made) is None
    assert made.request.body.complete == raw
    assert isinstance(made.request.body, Body)


@pytest.mark.parametrize(
    "options",
    [
        {"max_depth": 0},
        {"max_depth": 257},
        {"metadata": "sets"},
        {"duplicate_keys": "first"},
        {"methods": []},
        {"methods": ["P T"]},
        {"max_items": -1},
        {"max_size": "big"},
        {"depth": 3},
    ],
)
def test_refuses_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(JSONBody, options)
