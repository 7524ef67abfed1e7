"""Types for options that name methods and header fields: tokens by RFC 9110 section 5.6.2."""

import re
from collections.abc import Callable
from typing import Annotated, Final

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

_OWN = {
    "connection": "it belongs to one connection",
    "content-length": "it frames the message",
    "date": "the gateway sees to it that there is exactly one",
    "expect": "the gateway answers or forwards it",
    "host": "the upstream's option host decides it",
    "http2-settings": "it belongs to one connection",
    "keep-alive": "it belongs to one connection",
    "proxy-authenticate": "it belongs to one connection",
    "proxy-authorization": "it belongs to one connection",
    "proxy-connection": "it belongs to one connection",
    "te": "it belongs to one connection",
    "trailer": "it frames the message",
    "transfer-encoding": "it frames the message",
    "upgrade": "it belongs to one connection",
    "via": "the gateway's option via decides it",
}

OWN_FIELDS: Final = frozenset(_OWN)
"""Lower-case names of the fields that frame the message or belong to one connection: they are the gateway's own."""


def _editable(name: str) -> str:
    reason = _OWN.get(name.lower())
    if reason is not None:
        raise ValueError(f"{name} cannot be edited: {reason}")
    return name


EditableName = Annotated[FieldName, AfterValidator(_editable)]
"""The name of a header field that a filter may edit."""


def _value(text: str) -> str:
    encoded("x", text)
    return text.strip(" \t")


FieldValue = Annotated[str, AfterValidator(_value)]
"""A value of a header field, without outer white space."""

Quality = Annotated[float, Field(ge=0, le=1)]
"""A weight (RFC 9110 section 12.4.2)."""


def rated(value: str, quality: float | None) -> str:
    """The value with its weight behind it; as it is without one."""
    return value if quality is None else f"{value};q={round(quality, 3)}"
