"""Runs the tests of a file."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

from gateway.trial.case import Step, Suite, Test, given_of, merged
from gateway.trial.coverage import Coverage
from gateway.trial.expectation import Mismatch, mismatches
from gateway.trial.given import Given
from gateway.trial.outcome import Outcome
from gateway.trial.trial import Trial, TrialError


class Result(NamedTuple):
    """What has come of a test.

    step        number of the step that failed, from 1; 0 for a test of one request
    mismatches  what was other than expected; none for one that passed
    error       why it could not be run; empty where it could
    outcome     of the last request; None where there is none
    seconds     how long it took
    """

    test: Test
    step: int
    mismatches: Sequence[Mismatch]
    error: str
    outcome: Outcome | None
    seconds: float

    @property
    def passed(self) -> bool:
        return not (self.mismatches or self.error)


async def run(suite: Suite, trial: Trial, coverage: Coverage) -> list[Result]:
    """Runs the tests in their order, each as if none had been before it."""
    results = []
    for test in suite.tests:
        began = perf_counter()
        await trial.renew()
        step, found, error, outcome = await _run(suite, test, trial, coverage)
        results.append(Result(test, step, found, error, outcome, perf_counter() - began))
    return results


async def _run(
    suite: Suite, test: Test, trial: Trial, coverage: Coverage
) -> tuple[int, Sequence[Mismatch], str, Outcome | None]:
    steps = test.steps if test.steps is not None else (Step(expect=test.expect),)
    later = 0.0
    outcome: Outcome | None = None
    for number, step in enumerate(steps, 1):
        told = number if test.steps is not None else 0
        later += step.wait
        said = merged(suite.given, test.given, step.given)
        try:
            given = given_of(said, later)
            if number > 1 and "counters" not in step.given.model_fields_set:
                given = _counted(given)
            for _ in range(step.times):
                outcome = await trial.run(given)
                coverage.see(outcome)
                given = _counted(given)
        except (TrialError, ValueError) as error:
            return told, (), str(error), None
        if step.expect is not None:
            assert outcome is not None
            found = mismatches(step.expect, outcome)
            if found:
                return told, found, "", outcome
    return 0, (), "", outcome


def _counted(given: Given) -> Given:
    """The same request, when what is supposed to have been counted has been."""
    return replace(given, counts={})
