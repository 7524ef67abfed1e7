"""What the first half of a back-test makes of a part of a file."""

from pathlib import Path
from typing import Any

from gateway.backtest.gap import Stretch
from gateway.backtest.judging import Half, Worker
from gateway.backtest.question import Question, plans_of
from gateway.backtest.source import parts_of
from gateway.backtest.tally import UNCHANGED
from tests.backtest.logged import KEYSTONE, NOW, Asked, logged, text_of, written

LIMIT: dict[str, Any] = {
    "rate_limit": {"limits": [{"name": "few", "rate": "2/minute", "key": ["project_id"]}]}
}


def _half(text: str, log: Path, directory: Path, **options: Any) -> Half:
    question = Question(text, "gateway.yaml", Path(), **options)
    (part,), pasts = parts_of([log])
    return Worker(question, plans_of(question), pasts, str(directory), held=2).half(part, 0)


async def test_what_needs_no_counting_is_decided(tmp_path: Path) -> None:
    text = text_of(filters=[KEYSTONE])
    log = written(await logged(text, [Asked(0), Asked(1)]), tmp_path / "log")
    half = _half(text, log, tmp_path)
    assert half.tally.counts == {UNCHANGED: 2}
    share = half.shares[NOW - 2]
    assert (share.files, half.skipped, half.sampled, share.first) == ([], 0, False, NOW)


async def test_the_rest_is_kept(tmp_path: Path) -> None:
    text = text_of(filters=[KEYSTONE, LIMIT])
    log = written(await logged(text, [Asked(float(at)) for at in range(5)]), tmp_path / "log")
    half = _half(text, log, tmp_path)
    assert half.tally.total == 0
    assert [(file.first[0] - NOW, file.last[0] - NOW) for file in half.shares[NOW - 2].files] == [
        (0, 1),
        (2, 3),
        (4, 4),
    ]


async def test_the_numbers_of_records_are_followed(tmp_path: Path) -> None:
    text = text_of(filters=[KEYSTONE])
    plan, *records = await logged(text, [Asked(float(at)) for at in range(5)])
    for number, under_way in ((0, 0.0), (1, 1250.0), (3, 0.0)):
        records[number] |= {"gateway.duration_ms": 500.0, "gateway.under_way_ms": under_way}
    half = _half(text, written([plan, *records[:2], *records[3:]], tmp_path / "log"), tmp_path)
    share = half.shares[NOW - 2]
    assert share.runs == {
        0: [
            Stretch(1, 2, NOW, NOW + 1, NOW + 0.5, NOW + 0.25),
            Stretch(4, 5, NOW + 3, NOW + 4, NOW + 3.5, NOW + 4),
        ]
    }
    assert share.closing == {0}


async def test_the_last_that_is_counted_is_the_one_that_comes_to_its_limit_last(tmp_path: Path) -> None:
    text = text_of(filters=[KEYSTONE, LIMIT])
    plan, *records = await logged(text, [Asked(0.0), Asked(1.0)])
    records[0]["gateway.chain.in_ms"] = 5000.0
    records[0]["gateway.filters"][0]["ms"] = 5000.0
    log = written([plan, *records], tmp_path / "log")
    assert _half(text, log, tmp_path).shares[NOW - 2].last == NOW + 5.0
    assert _half(text_of(filters=[KEYSTONE]), log, tmp_path).shares[NOW - 2].last == float("-inf")


async def test_what_is_not_asked_for_is_not_told(tmp_path: Path) -> None:
    text = text_of(filters=[KEYSTONE])
    log = written(await logged(text, [Asked(0), Asked(1, "p2"), Asked(2)]), tmp_path / "log")
    assert _half(text, log, tmp_path, where="project_id = p2").tally.total == 1
    assert _half(text, log, tmp_path, since=NOW + 1).tally.total == 2
