"""What has become of each part, as text and as JSON."""

from gateway.migration.report import Report
from gateway.migration.source import Place


def _report() -> Report:
    report = Report()
    report.part("cors", Place("system-model.cfg.xml", 4)).into.append("cors")
    changed = report.part("rate-limiting", Place("system-model.cfg.xml", 5))
    changed.into.append("rate_limit")
    changed.differs(Place("rate-limiting.cfg.xml", 1), "seconds")
    changed.differs(Place("rate-limiting.cfg.xml", 1), "seconds")
    changed.left(Place("rate-limiting.cfg.xml", 9), "a limit of 0")
    report.part("herp\x1b[0m", Place("system-model.cfg.xml", 6)).left(Place("h.cfg.xml", 0), "records\nare")
    return report


def test_parts_are_told_by_what_has_become_of_them() -> None:
    assert _report().text() == (
        "1 moved, 1 moved with a difference, 1 not moved\n"
        "\nMoved:\n"
        "  cors  system-model.cfg.xml:4 -> cors\n"
        "\nMoved with a difference:\n"
        "  rate-limiting  system-model.cfg.xml:5 -> rate_limit\n"
        "    rate-limiting.cfg.xml:1: seconds\n"
        "    rate-limiting.cfg.xml:9: not moved: a limit of 0\n"
        "\nNot moved:\n"
        "  herp\\x1b[0m  system-model.cfg.xml:6\n"
        "    h.cfg.xml: records\\nare\n"
    )


def test_the_same_for_programs() -> None:
    assert [(part["name"], part["outcome"], part["into"]) for part in _report().as_json()] == [
        ("cors", "moved", ["cors"]),
        ("rate-limiting", "moved with a difference", ["rate_limit"]),
        ("herp\x1b[0m", "not moved", []),
    ]
    assert _report().as_json()[1]["notes"][1] == {
        "kind": "left",
        "file": "rate-limiting.cfg.xml",
        "line": 9,
        "text": "a limit of 0",
    }
