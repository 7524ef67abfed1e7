"""The contract of a filter, as a stranger uses it."""

import pytest
from pydantic import ValidationError

from gateway.api import Exchange, Fact, Fault, Filter, Options, Verdict, fact, facts_of
from gateway.api.filter import facts_read, files_of, files_read, only_refuses
from gateway.api.testing import UndeclaredFact, build, exchange, judge, judge_response


class TeapotOptions(Options):
    pots: int = 1

    def reads(self) -> frozenset[Fact]:
        return frozenset((fact.METHOD, fact.header("x-tea")))


class Teapot(Filter[TeapotOptions]):
    name = "teapot"
    Config = TeapotOptions

    def on_request(self, exchange: Exchange) -> Verdict:
        if exchange.request.headers.get("X-Tea") == "green":
            return Fault(418, "teapot", f"{self.config.pots} teapots.")
        return None


class Plain(Filter[Options]):
    name = "plain"
    Config = Options
    reads = frozenset((fact.HOST,))

    def on_request(self, exchange: Exchange) -> Verdict:
        assert exchange.path
        return None


def test_options_are_frozen_and_unknown_keys_refused() -> None:
    with pytest.raises(ValidationError):
        TeapotOptions.model_validate({"pot": 1})
    options = TeapotOptions()
    with pytest.raises(ValidationError):
        options.pots = 2


def test_a_filter_judges_with_its_options() -> None:
    verdict = judge(build(Teapot, {"pots": 3}), exchange(headers={"X-Tea": "green"}))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.message) == (418, "3 teapots.")
    assert judge(build(Teapot), exchange()) is None


def test_hooks_that_are_not_overridden_pass() -> None:
    assert judge_response(build(Teapot), exchange()) is None


def test_facts_come_from_the_options_or_from_the_class() -> None:
    assert facts_of(Teapot, TeapotOptions()) == {fact.METHOD, "header:x-tea"}
    assert facts_of(Plain, Options()) == {fact.HOST}


def test_facts_that_only_building_tells_are_read_too() -> None:
    made = build(Teapot)
    made.also_reads = frozenset((fact.BODY,))
    assert facts_read(made) == {fact.METHOD, "header:x-tea", fact.BODY}
    assert facts_read(build(Plain)) == {fact.HOST}


class FileOptions(Options):
    file: str = "a.yaml"

    def files(self) -> tuple[str, ...]:
        return (self.file,)


def test_options_may_name_files_to_be_watched() -> None:
    assert files_of(FileOptions()) == ("a.yaml",)
    assert files_of(Options()) == ()


def test_a_file_may_name_further_ones() -> None:
    class Naming(Options):
        def files(self) -> tuple[str, ...]:
            return ("a", "z")

        def files_in(self, name: str, content: bytes) -> tuple[str, ...]:
            return tuple(content.decode().split())

    contents = {"a": b"b c", "b": b"a d", "d": b"", "c": b"c", "x": b"y"}
    assert sorted(files_read(Naming(), contents)) == ["a", "b", "c", "d", "z"]
    assert files_read(Naming(), {}) == ("a", "z")
    assert files_read(Options(), contents) == ()


def test_reading_an_undeclared_fact_raises_in_tests() -> None:
    with pytest.raises(UndeclaredFact, match="path"):
        judge(build(Plain), exchange())


class SeldomOptions(Options):
    says: bool

    def only_refuses(self) -> bool:
        return self.says


class Seldom(Filter[SeldomOptions]):
    name = "seldom"
    Config = SeldomOptions


class Refusing(Seldom):
    only_refuses = True


@pytest.mark.parametrize(
    ("filter_class", "says", "found"),
    [
        (Seldom, True, False),
        (Refusing, True, True),
        (Refusing, False, False),
    ],
)
def test_a_filter_only_refuses_where_it_and_its_options_say_so(
    filter_class: type[Seldom], says: bool, found: bool
) -> None:
    assert only_refuses(filter_class, SeldomOptions(says=says)) is found
