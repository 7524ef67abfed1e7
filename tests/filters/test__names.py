"""Names of methods and header fields in options."""

import pytest
from pydantic import TypeAdapter, ValidationError

from filters._names import FieldName, MethodName


def test_a_method_is_held_in_upper_case() -> None:
    assert TypeAdapter(MethodName).validate_python("get") == "GET"


def test_a_field_name_keeps_its_spelling() -> None:
    assert TypeAdapter(FieldName).validate_python("X-Auth-Token") == "X-Auth-Token"


@pytest.mark.parametrize("text", ["", "G T", "GET\n", "GE:T", "G(T", "ž", "\x00"])
def test_what_is_no_token_is_no_name(text: str) -> None:
    with pytest.raises(ValidationError, match="is not a method"):
        TypeAdapter(MethodName).validate_python(text)
    with pytest.raises(ValidationError, match="is not a header name"):
        TypeAdapter(FieldName).validate_python(text)
