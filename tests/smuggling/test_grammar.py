"""The generator: the same cases for the same seed, and streams of every kind."""

from collections import Counter
from itertools import islice

from tests.smuggling.grammar import Seeded, chunked, mutated, seeded
from tests.smuggling.reference import Malformed, parse
from tests.smuggling.spelling import SMUGGLED


def test_a_seed_gives_the_same_cases_each_time() -> None:
    first = list(islice(seeded(1), 50))
    assert list(islice(seeded(1), 50)) == first
    assert list(islice(seeded(1, 20), 30)) == first[20:]
    assert list(islice(seeded(2), 50)) != first


def test_cases_of_every_kind_are_made() -> None:
    reasons: Counter[str] = Counter()
    framings: Counter[str] = Counter()
    several = cut = asking = 0
    for data, cuts, asks in islice(seeded(3), 2000):
        messages, end = parse(data)
        reasons[end.reason if isinstance(end, Malformed) else type(end).__name__] += 1
        framings.update(message.framing for message in messages)
        several += len(messages) > 1
        cut += bool(cuts) and not asks
        asking += asks
        assert all(0 < point < len(data) for point in cuts)
    assert min(framings[framing] for framing in ("none", "length", "chunked")) > 100, framings
    assert several > 200
    assert cut > 300
    assert asking > 200
    # Streams that are right to their end, ones that are not, and none of the reasons left out.
    assert reasons["NoneType"] > 200, reasons
    assert set(reasons) >= {
        "Incomplete",
        "Closed",
        "bare CR",
        "bare LF",
        "obs-fold",
        "white space before the first field",
        "request line",
        "version",
        "field line",
        "host",
        "target of CONNECT",
        "Content-Length",
        "different Content-Lengths",
        "transfer coding",
        "the last transfer coding is not chunked",
        "Transfer-Encoding beside Content-Length",
        "Transfer-Encoding in HTTP/1.0",
        "chunk line",
        "no line end behind the data of a chunk",
    }, reasons


def test_plain_choices_make_a_plain_chunked_body() -> None:
    class Plain(Seeded):
        def below(self, number: int) -> int:
            return 0

    assert chunked(Plain(""), b"ab") == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


def test_a_mutation_changes_few_bytes() -> None:
    changed = [mutated(Seeded(str(number)), SMUGGLED) for number in range(100)]
    assert sum(data != SMUGGLED for data in changed) > 90
