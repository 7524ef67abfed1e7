"""Reports of back-tests."""

import json

import pytest

from gateway.backtest.recorded import PASSED, REFUSE, Verdict, undecidable
from gateway.backtest.report import Subject, as_html, as_json, as_text, described
from gateway.backtest.run import Found
from gateway.backtest.tally import Tally

SUBJECT = Subject("new.yaml", "recorded", 1)
REFUSED = Verdict(REFUSE, 413, "rate_limit", "rate_limited", "old.yaml:1:1")


def _found(**options: int | bool) -> Found:
    tally = Tally()
    tally.add(0.0, "req-1", "GET /<script>alert(1)</script>\x1b[31m", "<b>r</b>", "<i>p</i>", REFUSED, PASSED)
    tally.add(60.0, "req-2", "GET /a", "r", "", PASSED, undecidable("f", "why"))
    tally.add(60.0, "req-3", "GET /a", "r", "", PASSED, PASSED)
    tally.shadow("s", PASSED, REFUSED)
    return Found(tally, **{"skipped": 0, "sampled": False, "gaps": 0, **options})  # type: ignore[arg-type]


def _lines(found: Found, most: int = 10) -> list[str]:
    return [line for line, _ in as_text(found, SUBJECT, most)]


def test_text() -> None:
    lines = _lines(_found())
    assert lines[0] == (
        "3 exchanges from 1970-01-01T00:00:00 to 1970-01-01T00:01:00, judged by new.yaml, against what was recorded"
    )
    assert lines[1].split() == ["newly", "allowed", "1", "33.33", "%"]
    text = "\n".join(lines)
    assert "413 rate_limit: rate_limited old.yaml:1:1  ->  forwarded" in text
    assert "undecidable: f: why" in text
    assert "s in shadow: would newly refuse 1, newly pass 0" in text
    assert "\x1b" not in text


def test_what_is_to_be_known_of_the_log_is_said() -> None:
    text = "\n".join(_lines(_found(skipped=2, sampled=True, gaps=1)))
    assert "2 lines were no records" in text and "is a sample" in text and "Records are missing" in text


def test_few_groups_are_shown_and_the_others_summed_up() -> None:
    found = _found()
    for number in range(5):
        found.tally.add(0.0, "a", "GET /", f"r{number}", "", REFUSED, PASSED)
    assert any("and 4 more in 4 groups" in line for line in _lines(found, 2))


def test_json() -> None:
    told = json.loads(json.dumps(as_json(_found(), SUBJECT)))
    assert told["counts"]["newly_allowed"] == 1 and told["total"] == 3
    assert told["groups"][0]["before"]["source"] == "old.yaml:1:1"
    assert told["groups"][0]["examples"][0]["request_id"] == "req-1"
    assert told["shadows"] == {"s": {"newly_refused": 1, "newly_passed": 0}}


def test_a_page_is_of_one_piece_and_escapes_what_clients_wrote() -> None:
    page = as_html(_found(), SUBJECT)
    assert "<script" not in page and "<b>r" not in page and "<i>p" not in page and "\x1b" not in page
    assert "&lt;script&gt;" in page and "<svg" in page
    assert "default-src 'none'" in page and "http" not in page.replace("http-equiv", "")


def test_nothing_at_all() -> None:
    empty = Found(Tally(), 0, False, 0)
    assert _lines(empty)[0].startswith("0 exchanges, judged by")
    assert "<svg" in as_html(empty, SUBJECT)
    assert as_json(empty, SUBJECT)["since"] is None


@pytest.mark.parametrize(
    ("number", "told"), [(0, None), (1, "a worker that was at work"), (3, "3 workers that were at work")]
)
def test_workers_of_which_nothing_is_there_are_told_of(number: int, told: str | None) -> None:
    found = _found()._replace(unheard=number)
    remarks = [line for line in _lines(found) if line.startswith("There is no line of")]
    assert [line.partition(" of ")[2].partition(":")[0] for line in remarks] == (
        [] if told is None else [told]
    )
    assert as_json(found, SUBJECT)["unheard"] == number
    assert ("There is no line of" in as_html(found, SUBJECT)) == bool(number)


def test_verdicts_in_words() -> None:
    assert described(PASSED) == "forwarded"
    assert described(undecidable("", "why")) == "undecidable: why"
