"""X-Delegated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.delegation import NAME, Delegation, read, written
from gateway.http.fields import encoded


def test_is_written_as_repose_writes_it() -> None:
    delegation = Delegation(404, "api-validator", "Resource not found: /a", 0.3)
    assert (
        written(delegation) == "status_code=404`component=api-validator`message=Resource not found: /a;q=0.3"
    )


@given(
    st.builds(
        Delegation,
        st.integers(100, 999),
        st.text("ab-_.", max_size=8),
        st.text("ab ;q=0.5", max_size=12),
        st.integers(0, 1000).map(lambda share: share / 1000),
    )
)
def test_what_was_written_is_read(delegation: Delegation) -> None:
    assert read(written(delegation)) == delegation


@given(st.text(), st.text(st.characters()))
def test_whatever_it_says_it_is_one_line_with_three_parts(component: str, message: str) -> None:
    value = written(Delegation(403, component, message, 0.5))
    found = read(value)
    assert found is not None
    assert (found.status, found.quality) == (403, 0.5)
    encoded(NAME, value)


@pytest.mark.parametrize(
    "value",
    [
        *("", "404", "status_code=40`component=a`message=b", "status_code=404`message=b`component=a"),
        *("status_code=4040`component=a`message=b", "component=a`message=b"),
    ],
)
def test_other_text_is_none(value: str) -> None:
    assert read(value) is None


def test_without_a_weight_it_has_the_whole() -> None:
    assert read("status_code=404`component=a`message=b") == Delegation(404, "a", "b", 1.0)


def test_what_no_field_can_hold_is_replaced() -> None:
    assert (
        written(Delegation(403, "a`b", "c\r\nd\ud800`e", 1))
        == "status_code=403`component=a'b`message=c''d''e;q=1.0"
    )
