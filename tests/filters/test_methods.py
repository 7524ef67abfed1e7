"""Methods that pass, and the 405 for the others."""

import pytest
from pydantic import ValidationError

from filters.methods import Methods
from gateway.api import Fault
from gateway.api.testing import build, exchange, judge


def test_an_allowed_method_passes() -> None:
    guard = build(Methods, {"allow": ["GET", "POST"]})
    assert judge(guard, exchange("GET")) is None
    assert judge(guard, exchange("POST")) is None


def test_answers_405_with_the_allowed_methods_sorted() -> None:
    guard = build(Methods, {"allow": ["PUT", "GET", "POST"]})
    verdict = judge(guard, exchange("DELETE"))
    assert verdict == Fault(
        405,
        "method_not_allowed",
        "Method not allowed.",
        rule=("allow",),
        headers=(("Allow", "GET, POST, PUT"),),
    )


def test_an_option_may_be_in_lower_case_and_twice() -> None:
    verdict = judge(build(Methods, {"allow": ["get", "GET"]}), exchange("PATCH"))
    assert isinstance(verdict, Fault)
    assert verdict.headers == (("Allow", "GET"),)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "get", "GETX", ""])
def test_get_implies_nothing_else(method: str) -> None:
    verdict = judge(build(Methods, {"allow": ["GET"]}), exchange(method))
    assert isinstance(verdict, Fault)
    assert verdict.status == 405


def test_the_refusal_is_made_once() -> None:
    guard = build(Methods, {"allow": ["GET"]})
    assert judge(guard, exchange("PUT")) is judge(guard, exchange("PATCH"))


@pytest.mark.parametrize("allow", [[], ["GE T"], "GET", [1], None])
def test_refuses_options_that_are_no_list_of_methods(allow: object) -> None:
    with pytest.raises(ValidationError):
        build(Methods, {"allow": allow})


def test_allow_is_required() -> None:
    with pytest.raises(ValidationError, match="allow"):
        build(Methods)
