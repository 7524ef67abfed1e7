"""Types for options that name methods and header fields: tokens by RFC 9110 section 5.6.2."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.http.fields import encoded

_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's word for a name, no credential
_is_token = re.compile(_TOKEN).fullmatch


def _token_of(what: str, normal: Callable[[str], str]) -> AfterValidator:
    def check(text: str) -> str:
        if _is_token(text) is None:
            raise ValueError(f"{text!r} is not {what}")
        return normal(text)

    return AfterValidator(check)


MethodName = Annotated[
    str, _token_of("a method", str.upper), Field(json_schema_extra={"pattern": f"^{_TOKEN}$"})
]
"""A method, held in upper case."""

FieldName = Annotated[
    str, _token_of("a header name", str), Field(json_schema_extra={"pattern": f"^{_TOKEN}$"})
]
"""The name of a header field, in the spelling in which it is sent."""


def _challenge(value: str) -> str:
    if not encoded("WWW-Authenticate", value)[1]:
        raise ValueError("a challenge names a scheme, such as Bearer")
    return value


Challenge = Annotated[str, AfterValidator(_challenge)]
"""A value of WWW-Authenticate (RFC 9110 section 11.6.1)."""
