"""Reads a description, in whichever language it is written."""

from posixpath import dirname, join
from typing import Final, Protocol

from gateway.config.problem import ConfigurationError, Problem
from gateway.description.model import Description
from gateway.description.openapi import read_openapi
from gateway.description.source import read_source
from gateway.description.wadl import read_wadl
from gateway.description.xml import read_xml

DescriptionError = ConfigurationError
"""What is wrong with a description, and where."""

_BLANK: Final = b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"  # of XML in UTF-16 too


class ReadFile(Protocol):
    """The bytes of a file; where `beside` is given, of one in the directory of that file or below, also where links lead.

    Raises OSError or ValueError.
    """

    def __call__(self, path: str, /, *, beside: str | None = None) -> bytes: ...


def read_description(file: str, read_file: ReadFile, *, base: str | None = None) -> Description:
    """Reads the description in `file`, and files beside it that it names.

    `base` is where its paths begin, in place of what it says of its servers. Raises ConfigurationError, and nothing else.
    """

    def read(name: str, beside: str | None = None) -> bytes:
        try:
            return read_file(name, beside=beside)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(
                [Problem(name, 0, 0, "unreadable", f"cannot be read: {reason}")]
            ) from None

    def beside(name: str) -> bytes:
        return read(join(dirname(file), name), file)

    data = read(file)
    if data.lstrip(_BLANK).startswith(b"<"):
        return read_wadl(read_xml(data, file), file, beside, base)
    return read_openapi(read_source(data, file), base)
