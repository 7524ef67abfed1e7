"""What filters in shadow would have done."""

from typing import Any

from gateway.inspect.shadow import EXAMPLES, report


def _record(verdict: str, decision: str = "forward", **fields: Any) -> dict[str, Any]:
    step: dict[str, Any] = {
        "name": "s",
        "type": "rate_limit",
        "source": "g.yaml:1:1",
        "verdict": verdict,
        "shadow": True,
    }
    if verdict == "refuse":
        step |= {"reason": "rate_limited", "status": 413}
    others = [{"name": "other", "verdict": "pass"}, "noise"]
    return {
        "gateway.decision": decision,
        "gateway.filters": [step, *others],
        "gateway.project.id": "p",
        **fields,
    }


def test_verdicts_beside_what_became_of_the_requests() -> None:
    found = report(
        [*[_record("pass")] * 3, *[_record("refuse")] * 2, _record("refuse", "refuse"), _record("undecided")]
    )
    judged = found["s"]
    assert list(found) == ["s"] and (judged.type, judged.source) == ("rate_limit", "g.yaml:1:1")
    assert (judged.passed, judged.refused, judged.doubled, judged.undecided, judged.judged) == (3, 2, 1, 1, 6)
    assert judged.reasons == {("rate_limited", 413): 2} and judged.projects == {"p": 2}


def test_a_request_and_its_answer_count_once() -> None:
    """An entry that looks at answers too has two steps."""

    def both(inward: str, outward: str) -> dict[str, Any]:
        made, back = _record(inward), _record(outward)
        return made | {"gateway.filters": [*made["gateway.filters"], back["gateway.filters"][0]]}

    judged = report([both("pass", "pass")] * 8)["s"]
    assert (judged.passed, judged.forwarded, judged.judged) == (8, 8, 8)
    judged = report([both("pass", "refuse"), both("pass", "undecided"), both("undecided", "pass")])["s"]
    assert (judged.refused, judged.forwarded, judged.undecided, judged.passed) == (1, 1, 2, 0)
    assert judged.reasons == {("rate_limited", 413): 1}


def test_the_share_is_of_what_was_forwarded() -> None:
    """What others have stopped would have been no other for it; what came to no verdict says nothing."""
    found = report(
        [
            *[_record("pass")] * 3,
            _record("refuse"),
            *[_record("pass", "refuse")] * 5,
            *[_record("refuse", "answer")] * 4,
            *[_record("undecided")] * 7,
            _record("pass", "fail"),
        ]
    )
    judged = found["s"]
    assert (judged.refused, judged.forwarded, judged.share) == (1, 5, 0.2)
    assert (judged.judged, judged.passed, judged.doubled, judged.undecided) == (14, 9, 4, 7)
    assert report([_record("undecided")])["s"].share == 0.0


def test_what_was_kept_by_chance_stands_for_all_that_are_like_it() -> None:
    judged = report([_record("pass") | {"gateway.sample": 0.1}, _record("refuse") | {"gateway.sample": 7}])[
        "s"
    ]
    assert (judged.passed, judged.refused) == (10, 1)


def test_examples_and_projects_are_bounded() -> None:
    records = [_record("refuse") | {"gateway.project.id": f"p{number}"} for number in range(3000)]
    judged = report(records)["s"]
    assert len(judged.examples) == EXAMPLES and len(judged.projects) <= 1000 and judged.refused == 3000


def test_odd_records_are_passed_over() -> None:
    assert report([{"gateway.filters": 7}, {}, {"gateway.filters": [7]}]) == {}
