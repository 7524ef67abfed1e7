"""Questions, and the plans that they are about."""

from pathlib import Path

import pytest

from gateway.backtest.question import Question, plans_of
from gateway.config.problem import ConfigurationError
from tests.backtest.logged import text_of


def test_a_question_has_one_plan_or_two() -> None:
    question = Question(text_of(), "new.yaml", Path())
    assert plans_of(question)[1] is None
    new, old = plans_of(question._replace(old_text=text_of(filters=[{"methods": {"allow": ["GET"]}}])))
    assert old is not None and (len(new.entries), len(old.entries)) == (0, 1)


def test_what_is_wrong_with_either_is_said() -> None:
    question = Question(text_of(), "new.yaml", Path(), old_text="filters: 7", old_file="old.yaml")
    with pytest.raises(ConfigurationError, match=r"old\.yaml"):
        plans_of(question)
