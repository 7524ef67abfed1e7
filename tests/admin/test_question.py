"""Questions about the request log, in a process of their own."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.admin import question
from gateway.admin.question import Questions, Unanswered
from tests.inspect.lines import RECORDS, write

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    return str(path)


async def test_what_is_asked_is_answered_in_json(log: str) -> None:
    answer = json.loads(await Questions().ask(log, "query", "--columns", "status", "--", "status = 405"))
    assert answer == [{"status": 405}]
    shown = json.loads(await Questions().ask(log, "show", "--", RECORDS[1]["gateway.request_id"]))
    assert shown["gateway.reason"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("query", "--", "stats = 4"), 400, "expected a field, not 'stats'"),
        (("query", "--since", "noon", "--", ""), 400, "'noon' is no time"),
        (("query", "--", "--sql=SELECT 1"), 400, "The query is not understood"),
        (("show", "--", "--log=/etc/passwd"), 404, "has the id --log=/etc/passwd"),
        (("show", "--", "req-nobody"), 404, "has the id req-nobody"),
    ],
)
async def test_what_is_wrong_with_it_is_told(
    log: str, words: tuple[str, ...], status: int, said: str
) -> None:
    with pytest.raises(Unanswered, match=re.escape(said)) as caught:
        await Questions().ask(log, *words)
    assert caught.value.status == status
    assert "Usage" not in str(caught.value)


@pytest.mark.parametrize("path", [None, "-"])
async def test_a_log_that_is_no_file_cannot_be_asked(path: str | None) -> None:
    with pytest.raises(Unanswered, match="not written to a file") as caught:
        await Questions().ask(path, "query", "--", "")
    assert caught.value.status == 501


async def test_without_the_extra_it_says_what_is_missing(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "find_spec", lambda name: None)
    with pytest.raises(Unanswered, match=r"pip install 'weir-gateway\[logs\]'"):
        await Questions().ask(log, "query", "--", "")
    assert await Questions().ask(log, "show", "--", RECORDS[0]["gateway.request_id"])


async def test_one_that_takes_too_long_is_ended(log: str) -> None:
    with pytest.raises(Unanswered, match="no answer within") as caught:
        await Questions(time=0.01).ask(log, "query", "--", "")
    assert caught.value.status == 504


async def test_whoever_goes_away_takes_his_question_along(log: str) -> None:
    questions = Questions()
    asked = [asyncio.ensure_future(questions.ask(log, "query", "--", "")) for _ in range(5)]
    await asyncio.sleep(0.05)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert json.loads(await questions.ask(log, "query", "--columns", "status", "-n", "1", "--", ""))
