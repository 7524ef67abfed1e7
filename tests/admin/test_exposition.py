import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.exposition import wants_openmetrics

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "accept",
    [
        [PROMETHEUS],
        ["application/openmetrics-text"],
        ["Application/OpenMetrics-Text; Version=1.0.0"],
        ['application/openmetrics-text; version="1.0.0"'],
        ["application/openmetrics-text, text/plain"],
        ["text/plain;q=0.1", "application/openmetrics-text;q=0.2"],
        ["application/openmetrics-text;q=0.2, */*;q=0.1"],
    ],
)
def test_openmetrics_is_for_who_prefers_it(accept: list[str]) -> None:
    assert wants_openmetrics(accept)


@pytest.mark.parametrize(
    "accept",
    [
        [],
        [""],
        ["*/*"],
        ["application/*"],
        ["text/plain; version=0.0.4"],
        ["application/openmetrics-text; version=0.0.1"],
        ["application/openmetrics-text; version=2.0.0"],
        ["application/openmetrics-text; q=0"],
        ["application/openmetrics-text; q=nonsense"],
        ["application/openmetrics-text; q=0.1, text/plain"],
        ["text/plain; q=0.9", "application/openmetrics-text; q=0.8, */*; q=0.1"],
        ["application/openmetrics-text; q=0.8, */*; q=0.9"],
        ["application/openmetrics-text-more"],
        ['application/openmetrics-text; version="1.0.0'],
    ],
)
def test_all_others_get_the_prometheus_format(accept: list[str]) -> None:
    assert not wants_openmetrics(accept)


@given(st.lists(st.text(max_size=40), max_size=3))
def test_no_accept_is_too_odd(accept: list[str]) -> None:
    assert wants_openmetrics(accept) in (True, False)
