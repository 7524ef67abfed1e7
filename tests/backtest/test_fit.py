"""The tightest limit that history would have borne."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.backtest.fit import Fit, FitError, fit
from gateway.config.load import loads
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.backtest.logged import KEYSTONE, Asked, logged, text_of, upgraded, written

LIMIT: dict[str, Any] = {"name": "few", "rate": "1/minute", "burst": 1, "key": ["project_id"]}


def _text(**limit: Any) -> str:
    return text_of(filters=[KEYSTONE, {"rate_limit": {"limits": [{**LIMIT, **limit}]}}])


def _fitted(text: str, log: Path, name: str = "few", share: float = 0.0) -> Fit:
    registry = Registry()
    return fit(build_plan(loads(text, "new.yaml", registry=registry), registry), [log], name, share)


def _log(tmp_path: Path, requests: list[Asked]) -> Path:
    return written(asyncio.run(logged(text_of(filters=[KEYSTONE]), requests)), tmp_path / "log")


def test_the_lowest_rate_that_refuses_nobody(tmp_path: Path) -> None:
    log = _log(tmp_path, [Asked(10.0 * number) for number in range(20)])
    found = _fitted(_text(), log, "rate_limit.few")
    assert (found.proposed.value, found.unit, found.requests) == (6, "minute", 20)
    assert found.proposed.refused == 0 and found.configured.refused > 0
    assert [point.refused for point in found.curve] == sorted(
        (point.refused for point in found.curve), reverse=True
    )


def test_some_may_be_refused(tmp_path: Path) -> None:
    requests = [Asked(10.0 * number) for number in range(19)] + [Asked(180.1)]
    log = _log(tmp_path, requests)
    assert _fitted(_text(), log, share=0.05).proposed == (6, 1)
    assert _fitted(_text(), log).proposed.value > 6


def test_a_limit_that_charges_by_the_answer_is_not_fitted(tmp_path: Path) -> None:
    log = _log(tmp_path, [Asked(10.0)])
    with pytest.raises(FitError, match="charges more by the answer"):
        _fitted(_text(cost={"default": 1, "header": "X-Cost", "max": 100}), log)


def test_neither_is_one_by_a_sample(tmp_path: Path) -> None:
    plan, *records = asyncio.run(logged(text_of(filters=[KEYSTONE]), [Asked(10.0 * at) for at in range(3)]))
    sampled = [{**record, "gateway.sample": {"kept": 0.5}} for record in records]
    with pytest.raises(FitError, match="is a sample"):
        _fitted(_text(), written([plan, *sampled], tmp_path / "kept"))
    numbered = {**plan, "gateway.generation": 1}
    numbered["gateway.plan"] = {**plan["gateway.plan"], "sample": {"passed": 0.1, "slow": 1000.0}}
    with pytest.raises(FitError, match="is a sample"):
        _fitted(_text(), written([numbered, *records], tmp_path / "left-out"))


def test_records_that_are_missing_are_told(tmp_path: Path) -> None:
    plan, *records = asyncio.run(logged(text_of(filters=[KEYSTONE]), [Asked(10.0 * at) for at in range(9)]))
    assert _fitted(_text(), written([plan, *records], tmp_path / "whole")).missing == 0
    assert _fitted(_text(), written([plan, *records[:3], *records[7:]], tmp_path / "holed")).missing == 4


def test_what_another_gateway_has_counted_is_its_own(tmp_path: Path) -> None:
    files = []
    for number, start in enumerate((0.0, 1.0)):
        asked = [Asked(start + 30.0 * at) for at in range(10)]
        plan, *records = asyncio.run(logged(text_of(filters=[KEYSTONE]), asked))
        plan["gateway.plan"]["since"] -= number
        files.append(written([plan, *records], tmp_path / f"log.{number}"))
    plan_ = build_plan(loads(_text(), "new.yaml", registry=Registry()), Registry())
    assert fit(plan_, files, "few", 0.0).proposed.value == 2
    assert fit(plan_, files[:1], "few", 0.0).proposed.value == 2


@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 2.0, 20.0]), st.sampled_from(["p", "q"])),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([{}, {"burst": 3}, {"burst": None}, {"burst": None, "algorithm": "fixed_window"}]),
)
def test_what_is_proposed_refuses_so_few_when_it_is_in_force(
    tmp_path: Path, stream: list[tuple[float, str]], limit: dict[str, Any]
) -> None:
    at, requests = 0.0, []
    for pause, project in stream:
        at += pause
        requests.append(Asked(at, project))
    found = _fitted(_text(**limit), _log(tmp_path, requests))
    with_it = _text(**limit, rate=f"{found.proposed.value}/{found.unit}")
    records = asyncio.run(logged(with_it, requests))[1:]
    assert [record["gateway.decision"] for record in records] == ["forward"] * len(records)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (_text(), "fw", "no limit is named 'fw': there are rate_limit.few"),
        (_text(methods=["PUT"]), "few", "no request of the log comes to"),
        (
            _text(rate="10/day", burst=None, algorithm="calendar_window"),
            "few",
            "has no rate that could be another",
        ),
    ],
)
def test_what_cannot_be_fitted(tmp_path: Path, text: str, name: str, message: str) -> None:
    with pytest.raises(FitError, match=message):
        _fitted(text, _log(tmp_path, [Asked(0)]), name)


def test_a_limit_by_a_secret_that_is_hashed_by_several_keys_cannot_be_fitted(tmp_path: Path) -> None:
    text = text_of(filters=[{"rate_limit": {"limits": [{**LIMIT, "key": ["header:X-Api-Key"]}]}}])
    requests = [Asked(10.0 * at, headers=(("X-Api-Key", "secretkey1"),)) for at in range(4)]
    plan, *records = asyncio.run(logged(text, requests))
    assert _fitted(text, written([plan, *records], tmp_path / "log")).proposed.value == 6
    plans = []
    for worker, key in enumerate("ab"):
        plans.append(
            {**plan, "gateway.worker": worker, "gateway.plan": {**plan["gateway.plan"], "hashed_by": key}}
        )
        records[worker]["gateway.worker"] = worker
    for record in records:
        record["gateway.since"] = plan["gateway.plan"]["since"]
    with pytest.raises(FitError, match="whom the limit counts is secret"):
        _fitted(text, written([*plans, *records], tmp_path / "log"))


@pytest.mark.parametrize(("keys", "rate"), [("aa", 12), ("ab", None), (("a", ""), None)])
def test_neither_can_one_by_what_a_filter_has_found_out(
    tmp_path: Path, keys: Sequence[str], rate: int | None
) -> None:
    """Which is known by the hashes of the cells."""
    limits = {"limits": [{**LIMIT, "key": ["header:X-Project-Id"]}]}
    text = text_of(filters=[KEYSTONE, {"rate_limit": limits}])
    lines = asyncio.run(logged(text, [Asked(5.0 * at) for at in range(8)]))
    log = written(upgraded(lines, 4, keys), tmp_path / "log")
    if rate is not None:
        assert _fitted(text, log).proposed.value == rate
        return
    with pytest.raises(FitError, match="whom the limit counts is secret"):
        _fitted(text, log)
