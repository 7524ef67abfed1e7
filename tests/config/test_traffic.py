"""What the options of retries, concurrency, mirrors and classes mean by default, and what cannot be meant."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.config.traffic import Adaptive, Concurrency, Mirror, PriorityClass, Retries


def test_retries_are_careful_by_default() -> None:
    retries = Retries()
    assert (retries.attempts, retries.on, retries.idempotency_key) == (3, ("connect_failure", "reset"), False)
    assert retries.budget.percent == 20.0


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Retries, {"attempts": 1}, "greater than or equal to 2"),
        (Retries, {"on": []}, "at least 1 item"),
        (Retries, {"on": ["timeout", 503, 503]}, "503 is listed twice"),
        (Retries, {"per_try_timeout": "1s"}, "needs timeout among"),
        (Concurrency, {}, "exactly one of limit, adaptive"),
        (Concurrency, {"limit": 1, "adaptive": None}, "exactly one of limit, adaptive"),
        (Adaptive, {"max": 10}, "in this order"),
        (Mirror, {"upstream": "b", "percent": 101}, "less than or equal to 100"),
        (PriorityClass, {"name": "a", "roles": []}, "at least 1 item"),
    ],
)
def test_refuses_what_cannot_be_meant(model: type[BaseModel], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(options)


def test_an_empty_adaptive_block_stands_for_its_defaults() -> None:
    assert Concurrency.model_validate({"adaptive": None}).adaptive == Adaptive()
