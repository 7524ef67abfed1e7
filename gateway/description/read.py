"""Reads a description, in whichever language it is written."""

from collections.abc import Callable
from posixpath import dirname, join
from typing import Final

from gateway.config.problem import ConfigurationError, Problem
from gateway.description.model import Description
from gateway.description.openapi import read_openapi
from gateway.description.source import read_source
from gateway.description.wadl import read_wadl
from gateway.description.xml import read_xml

DescriptionError = ConfigurationError
"""What is wrong with a description, and where."""

_BLANK: Final = b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"  # of XML in UTF-16 too


def read_description(file: str, read_file: Callable[[str], bytes], *, base: str | None = None) -> Description:
    """Reads the description in `file`, and files beside it that it names.

    `base` is where its paths begin, in place of what it says of its servers. Raises ConfigurationError, and nothing else.
    """

    def read(name: str) -> bytes:
        try:
            return read_file(name)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(
                [Problem(name, 0, 0, "unreadable", f"cannot be read: {reason}")]
            ) from None

    def beside(name: str) -> bytes:
        return read(join(dirname(file), name))

    data = read(file)
    if data.lstrip(_BLANK).startswith(b"<"):
        return read_wadl(read_xml(data, file), file, beside, base)
    return read_openapi(read_source(data, file), base)
