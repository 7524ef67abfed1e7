"""Questions, and the plans that they are about."""

from pathlib import Path

import pytest

from gateway.backtest.question import Question, plans_of
from gateway.config.load import load
from gateway.config.problem import ConfigurationError
from gateway.plan import build_plan
from gateway.registry import Registry
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


def test_an_entry_that_names_a_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.yaml"
    text = text_of(filters=[{"token_auth": {"providers": [{"static": {"file": tokens.name}}]}}])
    config = tmp_path / "gateway.yaml"
    config.write_text(text)
    tokens.write_text("- { token: tokenone, user: u1, user_id: u1 }\n")
    registry = Registry()
    then = build_plan(load(config, registry=registry), registry).describe()["entries"]
    question = Question(text, str(config), tmp_path)
    assert plans_of(question)[0].describe()["entries"] == then
    tokens.write_text("- { token: tokentwo, user: u1, user_id: u1 }\n")
    assert plans_of(question)[0].describe()["entries"] != then
