"""Which files an XML document names that are read with it: grammars of a WADL, and what an XML Schema includes or imports.

Only looked for, not read as XML: this is asked every second of files that may have changed. More may be found than is read.
"""

import codecs
import re
from html import unescape
from posixpath import dirname, join, relpath
from typing import Final

from gateway.description.source import is_beside

_NAMED: Final = re.compile(
    r"<(?:[\w.-]+:)?(?:include|import|redefine)\b[^<>]*?\b(?:href|schemaLocation)\s*=\s*(?:\"([^\"<>]*)\"|'([^'<>]*)')"
)
_MANY: Final = 1000


def included(file: str, content: bytes, root: str) -> tuple[str, ...]:
    """The names of files that `file` names, as it is named itself: such as are beside the description `root`, or below."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if wide else "utf-8", "replace")
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return ()
    found: dict[str, None] = {}
    for match in _NAMED.finditer(text):
        path = join(dirname(file), unescape(match[1] or match[2] or ""))
        if is_beside(relpath(path, dirname(root) or ".")):
            found[path] = None
        if len(found) >= _MANY:
            break
    return tuple(found)
