"""In which format a fault or a document is written: the path's suffix, then Accept, then JSON (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Sequence
from functools import lru_cache

from gateway.http.listing import members

_JSON = ("application/json", "application/vnd.openstack.compute+json")
_XML = ("application/xml", "application/vnd.openstack.compute+xml")

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - the token of RFC 9110 section 5.6.2, no password
_RANGE = re.compile(rf"{_TOKEN}/{_TOKEN}")
_WEIGHT = re.compile(r"[Qq]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def fault_format(path: str, accept: Sequence[str]) -> tuple[str, bool]:
    """ "json" or "xml", and whether the answer depends on Accept, so that a cache must be told by Vary.

    A suffix of the path wins over Accept. Nothing acceptable, or nothing readable, is answered in JSON: an
    error is never replaced by a 406.
    """
    if path.endswith(".json"):
        return "json", False
    if path.endswith(".xml"):
        return "xml", False
    if not accept:
        return "json", True
    return _preferred(accept[0] if len(accept) == 1 else ",".join(accept)), True


def answer_format(path: str, accept: Sequence[str]) -> str | None:
    """ "json" or "xml" for a document that there is in both, by the path's suffix, then Accept; None where neither is
    acceptable, which is for 406 (RFC 9110 section 15.5.7). An Accept that names nothing accepts nothing, as Repose has it.
    """
    if path.endswith((".json", ".xml")) or not accept:
        return fault_format(path, ())[0]
    ranges = _ranges(accept[0] if len(accept) == 1 else ",".join(accept))
    json, xml = _standing(_JSON, ranges), _standing(_XML, ranges)
    if not (json[0] or xml[0]):
        return None
    return "xml" if xml > json else "json"


@lru_cache(maxsize=256)
def _preferred(accept: str) -> str:
    # Of equal weights the one that was named more exactly wins, then JSON: `application/xml, */*` asks
    # for XML.
    ranges = _ranges(accept)
    return "xml" if _standing(_XML, ranges) > _standing(_JSON, ranges) else "json"


def _ranges(accept: str) -> dict[str, float]:
    """Media ranges and their weights, as far as they can be read."""
    ranges: dict[str, float] = {}
    for member in members(accept) or ():
        parsed = _weighted(member)
        if parsed is not None:
            name, weight = parsed
            ranges[name] = max(weight, ranges.get(name, 0.0))
    return ranges


def _weighted(member: str) -> tuple[str, float] | None:
    """The media range and its weight, or None for what is neither."""
    if ";" not in member:
        return (member.lower(), 1.0) if _RANGE.fullmatch(member) else None
    name, *parameters = members(member, ";") or ("",)
    if _RANGE.fullmatch(name) is None:
        return None
    for parameter in parameters:
        if parameter[:2] in ("q=", "Q="):
            weight = _WEIGHT.fullmatch(parameter)
            return None if weight is None else (name.lower(), float(weight[1]))
    return name.lower(), 1.0


def _standing(types: tuple[str, ...], ranges: dict[str, float]) -> tuple[float, int]:
    """The best weight that any of the types has, and how exactly it was named.

    A wildcard speaks of the first type alone, which is the one we send; the others count when named.
    """
    sent, *also = types
    standings = [(ranges[name], 2) for name in also if name in ranges]
    for exactness, candidate in ((2, sent), (1, f"{sent.partition('/')[0]}/*"), (0, "*/*")):
        if candidate in ranges:
            standings.append((ranges[candidate], exactness))
            break
    return max((standing for standing in standings if standing[0]), default=(0.0, 0))


def preferred(types: Sequence[str], accept: Sequence[str]) -> str | None:
    """Of media types in lower case, the one that the client likes best, the first of equals; None where it takes none of them.

    `accept` are the values of the Accept lines; without any, everything is as good.
    """
    if not accept:
        return types[0]
    ranges = _ranges(accept[0] if len(accept) == 1 else ",".join(accept))
    standings = [(_standing((kind,), ranges), kind) for kind in types]
    (best, _), kind = max(standings, key=lambda found: found[0])
    return kind if best else None


_NAMED = re.compile(rf"{_TOKEN}|\*")


def weights(values: Sequence[str]) -> dict[str, float]:
    """Names and their weights in a list such as Accept-Encoding (RFC 9110 section 12.4.2), lower case; what cannot be read is
    left out."""
    found: dict[str, float] = {}
    for member in members(",".join(values)) or ():
        name, _, parameter = (part.strip(" \t") for part in member.partition(";"))
        weight = _WEIGHT.fullmatch(parameter) if parameter else None
        if _NAMED.fullmatch(name) is None or (parameter and weight is None):
            continue
        found[name.lower()] = float(weight[1]) if weight is not None else 1.0
    return found
