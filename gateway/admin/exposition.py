"""In which text metrics are told: the Prometheus format, or OpenMetrics where Accept prefers that (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Sequence

from gateway.http.listing import members, unquoted

_OPENMETRICS = "application/openmetrics-text"
_PLAIN = ("text/plain", "text/*", "*/*")
_VERSIONS = (None, "1.0.0")
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def wants_openmetrics(accept: Sequence[str]) -> bool:
    """Whether the lines of Accept prefer OpenMetrics 1.0.0; a wildcard is content with the other, and does not ask for it.

    Of equal weights OpenMetrics wins: it was named.
    """
    asked = plain = 0.0
    exactness = len(_PLAIN)
    for member in members(",".join(accept)) or ():
        name, *parameters = members(member, ";") or [""]
        values = _values(parameters)
        weight = values.get("q", "1")
        if _WEIGHT.fullmatch(weight) is None:
            continue
        name = name.lower()
        if name == _OPENMETRICS and values.get("version") in _VERSIONS:
            asked = max(asked, float(weight))
        elif name in _PLAIN[:exactness]:
            exactness, plain = _PLAIN.index(name), float(weight)
    return asked > 0 and asked >= plain


def _values(parameters: Sequence[str]) -> dict[str, str]:
    pairs = (parameter.partition("=") for parameter in parameters)
    return {key.strip().lower(): unquoted(value.strip()) for key, _, value in pairs}
