"""Installations with anything in them: an error with a place, or a configuration that may be put in force."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.migration.repose import MigrationError, migrate
from gateway.registry import Registry
from tests.migration.installed import plan

HERE = Path(__file__).parent
FILES = [
    (directory, path.name, path.read_text())
    for directory in ("nine", "six")
    for path in sorted((HERE / directory).glob("*.cfg.xml"))
]
_VALUE = re.compile(r'"([^"]*)"|>([^<>]*)<')
VALUES = st.sampled_from(
    [
        *("", "0", "-1", "1e400", "NaN", "true", "maybe", "0.5", "99999999999999999999", "a" * 300, "x y"),
        *("{$ A $}", "${X}", "$$", "$", "%s", "%{", "&lt;", "&#10;admin: x", "\u2028", "\u00a0"),
        *("/", "/a", ".*", "(", "(a+)+b", "[", "regex:", "{a}", "../x", "http://", "http://x:99999"),
        *("ALL", "GET", "10.0.0.1/33", "::", "Host", "X-Roles", "*/*", "application/json"),
    ]
) | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='<>&"'), max_size=8)
_REGISTRY = Registry()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_any_value_is_an_error_with_its_place_or_moved(
    file: tuple[str, str, str], data: st.DataObject
) -> None:
    directory, name, text = file
    spots = list(_VALUE.finditer(text))
    for spot in sorted(
        data.draw(st.lists(st.sampled_from(spots), min_size=1, max_size=3, unique=True)),
        key=lambda spot: spot.start(),
        reverse=True,
    ):
        group = 1 if spot[1] is not None else 2
        text = text[: spot.start(group)] + data.draw(VALUES) + text[spot.end(group) :]
    with tempfile.TemporaryDirectory() as place:
        for other, file_name, content in FILES:
            if other == directory:
                (Path(place) / file_name).write_text(text if file_name == name else content, encoding="utf-8")
        try:
            made = migrate(Path(place), registry=_REGISTRY, environment={"A": "7"})
        except MigrationError as error:
            wrong = error.problems
        else:
            plan(made, {"A": "7"})
            return
    assert wrong
    assert all(problem.place.file.endswith(".xml") for problem in wrong)
