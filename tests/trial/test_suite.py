"""Tests that run one after the other."""

from typing import Any

from gateway.trial.case import Suite
from gateway.trial.coverage import Coverage
from gateway.trial.suite import Result, run
from tests.trial.tried import tried

LIMIT = {"rate_limit": {"limits": [{"name": "few", "rate": "2/minute", "burst": 2}]}}


async def _results(*tests: dict[str, Any]) -> list[Result]:
    suite = Suite.model_validate(
        {
            "given": {"request": "GET /a", "upstream": {"status": 200}},
            "tests": [{"name": str(number), **test} for number, test in enumerate(tests)],
        }
    )
    async with tried(filters=[LIMIT]) as trial:
        return await run(suite, trial, Coverage(trial.plan))


async def test_steps_share_what_is_counted_and_time_goes_on() -> None:
    (result,) = await _results(
        {
            "steps": [
                {"times": 2, "expect": {"status": 200}},
                {"expect": {"status": 413}},
                {"wait": "30s", "expect": {"status": 200}},
                {"expect": {"status": 413}},
            ]
        }
    )
    assert result.passed, result


async def test_a_test_knows_nothing_of_those_before_it() -> None:
    results = await _results(*({"steps": [{"times": 2, "expect": {"status": 200}}]} for _ in range(2)))
    assert [result.passed for result in results] == [True, True]


async def test_what_is_supposed_to_have_been_counted_is_counted_once() -> None:
    (result,) = await _results(
        {
            "given": {"counters": {"few": 1}},
            "steps": [{"expect": {"status": 200}}, {"wait": "30s", "expect": {"status": 200}}],
        }
    )
    assert result.passed, result


async def test_the_first_step_that_fails_is_told() -> None:
    (result,) = await _results(
        {"steps": [{"expect": {"status": 200}}, {"expect": {"status": 404}}, {"expect": {"status": 405}}]}
    )
    assert (result.step, [one.what for one in result.mismatches]) == (2, ["status"])
    assert result.outcome is not None and result.outcome.status == 200


async def test_what_cannot_be_run_is_no_failure_of_the_configuration() -> None:
    (unknown,) = await _results({"given": {"counters": {"fw": 1}}, "expect": {"status": 200}})
    assert unknown.error.startswith("no limit is named 'fw'") and not unknown.passed
