"""Request streams by grammar mutation: each part is plain, or now and then one of its odd spellings.

One grammar, two ways to drive it: a seeded random generator that can run for as long as one likes, and hypothesis,
which shrinks what it finds. Both draw through `Choices`; the first of any options is the plain one, so that what
hypothesis shrinks to has as few oddities as the failure needs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from random import Random
from typing import Any, Final, Protocol, TypeVar

from hypothesis import strategies

from tests.smuggling import spelling
from tests.smuggling.catalogue import CATALOGUE, CHUNKED, DIALOGUES, HOST, NEXT, chunks, length
from tests.smuggling.rig import Case
from tests.smuggling.spelling import PREFIX, SMUGGLED, length_line, size_line

T = TypeVar("T")


class Choices(Protocol):
    """Where the decisions of the grammar come from."""

    def below(self, number: int) -> int:
        """A whole number from 0 on, less than `number`."""

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""


class Seeded:
    """Choices by a seed: the same ones each time."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)

    def below(self, number: int) -> int:
        return self._random.randrange(number)

    def pick(self, options: Sequence[T]) -> T:
        return options[self._random.randrange(len(options))]


class Drawn:
    """Choices by hypothesis."""

    def __init__(self, draw: Callable[[strategies.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def below(self, number: int) -> int:
        return int(self._draw(strategies.integers(0, number - 1)))

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


_BODIES: Final = (
    b"hello",
    b"",
    SMUGGLED,
    PREFIX,
    chunks(b"hello"),
    b"0\r\n\r\n" + SMUGGLED,
    b"\r\n",
    b"\x00" * 9,
)
_LINES: Final = (*spelling.TRANSFER_ENCODING.values(), *spelling.CONTENT_LENGTH.values())
_PAYLOADS: Final = tuple(data for data in CATALOGUE.values() if len(data) < 2000)
ODDS: Final = 30
"""One part in so many is odd: a message has about ten parts."""


def rarely(choices: Choices, odds: int = ODDS) -> bool:
    return choices.below(odds) == odds - 1


def odd(choices: Choices, options: Sequence[bytes], odds: int = ODDS) -> bytes:
    """The first of the options, now and then another."""
    return choices.pick(options) if rarely(choices, odds) else options[0]


_WORDS: Final = {
    name: tuple(getattr(spelling, name).values())
    for name in ("REQUEST_LINE_END", "HEAD_END", "BEFORE", "CHUNK_END", "LAST_CHUNK", "CHUNK_SIZE")
}


def message(choices: Choices) -> bytes:
    """One request, more or less."""
    method = odd(choices, spelling.METHOD, 10)
    target = odd(choices, spelling.TARGET, 10)
    version = odd(choices, spelling.VERSION)
    line = b"%b %b %b" % (method, target, version) + odd(choices, _WORDS["REQUEST_LINE_END"])
    if rarely(choices, 60):
        line = choices.pick(tuple(spelling.REQUEST_LINE.values()))
    framing, body = _framing(choices)
    lines = [odd(choices, spelling.HOST), *framing]
    for _ in range(choices.below(4)):
        lines.insert(choices.below(len(lines) + 1), odd(choices, spelling.FIELD, 5))
    return line + b"".join(lines) + odd(choices, _WORDS["HEAD_END"]) + body


def _framing(choices: Choices) -> tuple[list[bytes], bytes]:
    """The lines that frame a body, and the body: they agree, more or less."""
    kind = choices.below(8)
    data = choices.pick(_BODIES)
    if kind == 0:
        return [], b""
    if kind in (1, 2, 3):
        number = len(data) if not rarely(choices, 6) else max(0, len(data) + choices.below(9) - 4)
        return [length_line(odd(choices, tuple(spelling.CONTENT_LENGTH.values()), 6), number)], data
    body = chunked(choices, data)
    if kind in (4, 5, 6):
        return [odd(choices, tuple(spelling.TRANSFER_ENCODING.values()), 6)], body
    lines = [CHUNKED, length(choices.pick((0, 4, 5, len(body), len(data))))]
    for _ in range(choices.below(3)):
        lines.insert(choices.below(3), length_line(choices.pick(_LINES), choices.pick((5, 0, len(body)))))
    if choices.below(2):
        lines.reverse()
    if rarely(choices, 3):
        del lines[choices.below(len(lines))]
    return lines, body


def chunked(choices: Choices, data: bytes) -> bytes:
    """The data in chunks, more or less."""
    coded = b""
    while data:
        size = 1 + choices.below(len(data))
        said = size if not rarely(choices, 40) else max(0, size + choices.below(5) - 2)
        coded += size_line(odd(choices, _WORDS["CHUNK_SIZE"]), said)
        coded += data[:size] + odd(choices, _WORDS["CHUNK_END"])
        data = data[size:]
    return coded + odd(choices, _WORDS["LAST_CHUNK"], 6)


def mutated(choices: Choices, data: bytes) -> bytes:
    """The data with a byte or two put in, left out, replaced, repeated or moved."""
    for _ in range(1 + choices.below(3)):
        at = choices.below(len(data) + 1)
        kind = choices.below(6)
        if kind == 0:
            data = data[:at] + choices.pick(spelling.BYTES) + data[at:]
        elif kind == 1:
            data = data[:at] + data[at + 1 + choices.below(3) :]
        elif kind == 2:
            data = data[:at] + choices.pick(spelling.BYTES) + data[at + 1 :]
        elif kind == 3:
            size = 1 + choices.below(20)
            data = data[: at + size] + data[at : at + size] + data[at + size :]
        elif kind == 4:
            data = data[:at] + bytes([choices.below(256)]) + data[at + choices.below(2) :]
        else:
            data = data[:at]
    return data


def stream(choices: Choices) -> bytes:
    """What a client sends on one connection."""
    data = b""
    for _ in range(1 + choices.below(3)):
        data += odd(choices, _WORDS["BEFORE"])
        data += choices.pick(_PAYLOADS) if rarely(choices, 12) else message(choices)
    if choices.below(2):
        data += choices.pick((SMUGGLED, NEXT, b"GET / HTTP/1.1\r\n" + HOST))
    if rarely(choices, 4):
        data = mutated(choices, data)
    return data


def dialogue(choices: Choices) -> Case:
    """Requests of a client that waits for each answer, and that has few heads to send again and again."""
    heads = [message(choices).partition(b"\r\n")[2] for _ in range(1 + choices.below(2))]
    segments: list[bytes] = []
    for _ in range(3 + choices.below(5)):
        line = b"%b %b %b" % (
            odd(choices, (b"GET", *spelling.METHOD)),
            odd(choices, spelling.TARGET),
            odd(choices, spelling.VERSION),
        )
        segment = odd(choices, _WORDS["BEFORE"]) + line + odd(choices, _WORDS["REQUEST_LINE_END"])
        segment += choices.pick(heads)
        if rarely(choices, 20):
            segment = mutated(choices, segment)
        if rarely(choices, 10):
            at = choices.below(len(segment) + 1)
            segments += [segment[:at], segment[at:]]
        else:
            segments.append(segment)
    return asked(segments)


def asked(segments: Iterable[bytes]) -> Case:
    """The case of a client that sends a segment when what came before it has been answered."""
    sizes = [len(segment) for segment in segments if segment]
    return Case(b"".join(segments), tuple(accumulate(sizes))[:-1], True)


def dialogues() -> list[Case]:
    """The cases of the catalogue's dialogues."""
    return [asked(segments) for segments in DIALOGUES.values()]


def case(choices: Choices) -> Case:
    """A stream and where it is cut into segments."""
    if rarely(choices, 6):
        return dialogue(choices)
    data = stream(choices)
    if len(data) < 2 or not rarely(choices, 3):
        return Case(data)
    if len(data) < 300 and rarely(choices, 8):
        return Case(data, tuple(range(1, len(data))))
    cuts = {1 + choices.below(len(data) - 1) for _ in range(1 + choices.below(4))}
    return Case(data, tuple(sorted(cuts)))


def seeded(seed: int, first: int = 0) -> Iterator[Case]:
    """Cases without end; each depends on the seed and its number only."""
    number = first
    while True:
        yield case(Seeded(f"{seed}/{number}"))
        number += 1


@strategies.composite
def cases(draw: strategies.DrawFn) -> Case:
    """The cases of the grammar as hypothesis draws them."""
    return case(Drawn(draw))
