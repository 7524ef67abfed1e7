"""Path templates held against each other: which paths they have in common."""

from typing import Final

from gateway.http.template import Segment, parse

_NOTHING: Final = Segment("", "", rest=False)
"""What a path that ends in "/" has behind it."""


def covers(one: str, other: str) -> bool:
    """Whether a template has all paths of another. What is left of a path may be nothing only where that is all of it."""
    own, others = parse(one), parse(other)
    for place, segment in enumerate(own):
        if segment.rest:
            return not place or (len(others) > place and others[place:] != (_NOTHING,))
        if place >= len(others) or others[place].rest:
            return False
        if segment.literal is not None and segment.literal != others[place].literal:
            return False
        if segment.literal is None and others[place] == _NOTHING:
            return False
    return len(own) == len(others)


def meets(one: str, other: str) -> bool:
    """Whether there is a path that both templates have."""
    own, others = parse(one), parse(other)
    for place, (mine, its) in enumerate(zip(own, others, strict=False)):
        if mine.rest or its.rest:
            return not place or (_NOTHING,) not in (own[place:], others[place:])
        if mine.literal != its.literal and (
            None not in (mine.literal, its.literal) or _NOTHING in (mine, its)
        ):
            return False
    return len(own) == len(others)
