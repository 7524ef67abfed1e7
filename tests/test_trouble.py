"""Trouble is told once a minute at most."""

from gateway.trouble import EVERY, Trouble


class Log:
    """Takes what is told; its clock is the test's."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, object]] = []
        self.now = 0.0
        self.trouble = Trouble("failing", "recovered", self._warn, lambda: self.now)

    def _warn(self, event: str, /, **facts: object) -> None:
        self.lines.append((event, facts["times"]))


def test_it_is_told_when_it_begins_each_minute_and_when_it_is_over() -> None:
    log = Log()
    for second in range(150):
        log.now = float(second)
        log.trouble.begins()
    log.trouble.ends()
    log.trouble.ends()
    assert log.lines == [("failing", 1), ("failing", 60), ("failing", 60), ("recovered", 29)]


def test_what_comes_and_goes_is_told_once_a_minute() -> None:
    log = Log()
    for second in range(121):
        log.now = float(second)
        log.trouble.begins()
        log.trouble.ends()
    assert [event for event, _ in log.lines] == ["failing", "recovered"] * 3
    assert log.lines[2] == ("failing", 60)


def test_what_lasts_after_it_came_and_went_is_told_a_minute_later() -> None:
    log = Log()
    log.trouble.begins()
    log.trouble.ends()
    log.now = 1.0
    log.trouble.begins()
    log.now = EVERY
    log.trouble.begins()
    log.trouble.ends()
    assert log.lines == [("failing", 1), ("recovered", 0), ("failing", 2), ("recovered", 0)]


def test_well_is_not_told_where_nothing_was_wrong() -> None:
    log = Log()
    log.trouble.ends()
    assert log.lines == []
