"""Durations, sizes and secrets, as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from gateway.api import Duration, OptionError, Secret, Size
from gateway.api.option import Statuses, parse_duration, parse_size, statuses_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("2d", 172800), (5, 5), (0.5, 0.5)],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "30", "30 s", "-1s", "1s!", "1sm", True, None, -1, float("inf"), float("nan")]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("64KiB", 65536), ("10MB", 10_000_000), ("7", 7), ("1GiB", 1 << 30), (12, 12)]
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "1.5MB", "-1", -1, "1 KB", "1kib", True, 1.0])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@given(st.text())
def test_any_text_is_a_value_or_a_plain_complaint(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert value >= 0


class Model(BaseModel):
    wait: Duration = 1.0
    size: Size = 1
    key: Secret


def test_a_secret_never_prints() -> None:
    model = Model.model_validate({"key": "s3cr3t", "wait": "2s", "size": "2kB"})
    assert model.key.reveal() == "s3cr3t"
    assert (model.wait, model.size) == (2.0, 2000)
    for shown in (str(model.key), repr(model), model.model_dump_json(), f"{model.key}"):
        assert "s3cr3t" not in shown
    assert model.key == Secret("s3cr3t")
    assert model.key != Secret("other")
    assert len({Secret("a"), Secret("a")}) == 1


def test_options_tell_editors_how_they_are_written() -> None:
    properties = Model.model_json_schema()["properties"]
    assert properties["key"] == {"title": "Key", "type": "string", "writeOnly": True}
    assert {"type": "integer", "minimum": 0} in properties["size"]["anyOf"]


def test_an_error_of_an_option_is_a_value_error_that_says_everything_at_once() -> None:
    error = OptionError(("providers", 0), "one", "two")
    assert isinstance(error, ValueError)
    assert (str(error), error.rule, error.messages) == ("one; two", ("providers", 0), ("one", "two"))


@pytest.mark.parametrize(("text", "first", "last"), [("200", 200, 200), ("300-399", 300, 399)])
def test_statuses_are_one_or_a_row(text: str, first: int, last: int) -> None:
    statuses = statuses_of(TypeAdapter(Statuses).validate_python(text))
    assert (statuses[0], statuses[-1]) == (first, last)


@pytest.mark.parametrize("value", [True, None, "2xx", "600", "399-300", "", 99])
def test_what_is_no_status_is_an_error(value: object) -> None:
    with pytest.raises(ValueError):
        TypeAdapter(Statuses).validate_python(value)
