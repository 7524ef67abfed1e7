"""Path parameters that must be UUIDs."""

import re
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.uuid import UUID
from gateway.api import Fault
from gateway.api.testing import build, exchange, judge

GOOD = "ffa476b1-9b14-46bd-99a8-862d1d94eb7a"


def passes(value: str, **options: object) -> bool:
    guard = build(UUID, {"params": ["image_id"], **options})
    return judge(guard, exchange(params={"image_id": value})) is None


BAD = {
    "upper case": GOOD.upper(),
    "mixed case": GOOD[:-1] + "A",
    "no dashes": GOOD.replace("-", ""),
    "braces": "{" + GOOD + "}",
    "urn": "urn:uuid:" + GOOD,
    "newline at the end": GOOD + "\n",
    "space in front": " " + GOOD,
    "one short": GOOD[:-1],
    "one long": GOOD + "0",
    "no digit": "g" + GOOD[1:],
    "dash misplaced": GOOD[:7] + "-" + GOOD[7] + GOOD[9:],
    "digits of another script": "\u0661" * 8 + GOOD[8:],
    "full width": GOOD.replace("f", "\uff46"),
    "NUL": "\x00" + GOOD[1:],
    "surrogate": "\udcff" + GOOD[1:],
    "garbage": "not-a-uuid",
    "empty": "",
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_answers_400_to_what_is_not_the_canonical_form(value: str) -> None:
    guard = build(UUID, {"params": ["image_id"]})
    verdict = judge(guard, exchange(params={"image_id": value}))
    assert verdict == Fault(
        400,
        "uuid_invalid",
        "The path parameter image_id is not a UUID in canonical form.",
        rule=("params", 0),
    )


def test_the_canonical_form_passes() -> None:
    assert passes(GOOD)
    assert passes("00000000-0000-0000-0000-000000000000")


def test_status_404_answers_as_openstack_does_and_names_nothing() -> None:
    guard = build(UUID, {"params": ["image_id"], "status": 404})
    verdict = judge(guard, exchange(params={"image_id": "x"}))
    assert verdict == Fault(404, "uuid_invalid", "Resource not found.", rule=("params", 0))


def test_every_parameter_is_judged_and_the_rule_names_the_bad_one() -> None:
    guard = build(UUID, {"params": ["server_id", "image_id"]})
    assert judge(guard, exchange(params={"server_id": GOOD, "image_id": GOOD})) is None
    verdict = judge(guard, exchange(params={"server_id": GOOD, "image_id": "x"}))
    assert isinstance(verdict, Fault)
    assert verdict.rule == ("params", 1)


def test_a_parameter_that_the_route_does_not_have_is_not_judged() -> None:
    assert judge(build(UUID, {"params": ["image_id"]}), exchange(params={"key": "x"})) is None


def test_lenient_passes_upper_case_but_no_other_form() -> None:
    accepted = [name for name, value in BAD.items() if passes(value, lenient=True)]
    assert accepted == ["upper case", "mixed case"]
    guard = build(UUID, {"params": ["image_id"], "lenient": True, "version": 4})
    verdict = judge(guard, exchange(params={"image_id": "x"}))
    assert isinstance(verdict, Fault)
    assert verdict.message == "The path parameter image_id is not a version 4 UUID."


@given(st.uuids(), st.booleans())
def test_every_uuid_passes_in_the_form_that_python_prints(value: uuid.UUID, lenient: bool) -> None:
    assert passes(str(value), lenient=lenient)
    assert passes(str(value).upper(), lenient=lenient) is (lenient or str(value).isdigit())


@given(
    st.one_of(
        st.text(max_size=40),
        st.text(string.hexdigits + "-\n", min_size=30, max_size=40),
        st.from_regex(r"[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    )
)
def test_passes_exactly_the_values_that_are_their_uuid_printed(value: str) -> None:
    try:
        canonical = str(uuid.UUID(value)) == value
    except ValueError:
        canonical = False
    assert passes(value) is canonical
    schema = re.compile(r"[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}")
    assert passes(value) is (schema.fullmatch(value) is not None)


@given(st.uuids(), st.integers(1, 8))
def test_a_version_passes_only_the_uuids_that_have_it(value: uuid.UUID, version: int) -> None:
    assert passes(str(value), version=version) is (value.version == version)
    # RFC 9562 section 4.2: the version is the high digit of the third group, in the layout of that document.
    made = f"{str(value)[:14]}{version}{str(value)[15:19]}8{str(value)[20:]}"
    assert passes(made, version=version)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"params": []},
        {"params": "image_id"},
        {"params": ["a"], "version": 9},
        {"params": ["a"], "version": "4"},
        {"params": ["a"], "status": 403},
        {"params": ["a"], "strict": True},
    ],
)
def test_refuses_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        build(UUID, options)
