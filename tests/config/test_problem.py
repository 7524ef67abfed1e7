"""Problems, positions, and the exception that carries them."""

import pytest

from gateway.config.problem import ConfigurationError, Marks, Path, Position, Problem, written


def test_a_problem_reads_as_a_compiler_would_say_it() -> None:
    problem = Problem(
        "gateway.yaml", 12, 7, "type", "expected a number, got 'ten'", "rate_limit.limits[0].rate"
    )
    assert str(problem) == "gateway.yaml:12:7: rate_limit.limits[0].rate: expected a number, got 'ten'"
    assert str(problem._replace(key="")) == "gateway.yaml:12:7: expected a number, got 'ten'"
    assert str(Problem("gateway.yaml", 0, 0, "unreadable", "no such file")) == "gateway.yaml: no such file"


def test_problems_come_in_the_order_of_the_file_and_once_each() -> None:
    first, second, third = (
        Problem("f", line, column, "c", "m") for line, column in [(2, 9), (10, 1), (10, 2)]
    )
    error = ConfigurationError([third, second, first, second])
    assert error.problems == (first, second, third)
    assert str(error) == "f:2:9: m\nf:10:1: m\nf:10:2: m"


def test_marks_without_any_place_point_at_the_beginning() -> None:
    assert Marks("f").position(("a", 1)) == Position("f", 1, 1)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("listen",), "listen"),
        (("upstreams", "a", "endpoints", 0), "upstreams.a.endpoints[0]"),
        (("filters", 1), "filters[1]"),
        (("filters", 1, "rate_limit"), "rate_limit"),
        (("filters", 1, "rate_limit", "limits", 2, "rate"), "rate_limit.limits[2].rate"),
        (("routes", 0, "path"), "routes[0].path"),
        (("routes", 0, "filters", 3), "routes[0].filters[3]"),
        (("routes", 0, "filters", 3, "uuid", "params", 0), "uuid.params[0]"),
    ],
)
def test_a_path_is_written_as_people_name_it(path: Path, text: str) -> None:
    assert written(path) == text
