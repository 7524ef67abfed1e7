"""Either language, by what stands in the file."""

from pathlib import Path

import pytest

from gateway.api.testing import FrozenServices
from gateway.config.problem import ConfigurationError
from gateway.description.read import DescriptionError, read_description
from tests.description.reading import files

EXAMPLES = Path(__file__).parents[2] / "config" / "examples" / "api"


def test_the_language_is_told_by_the_text() -> None:
    read = files(
        a='{"openapi": "3.0.3", "paths": {}}',
        b=' <?xml version="1.0"?>'.strip() + '<application xmlns="http://wadl.dev.java.net/2009/02"/>',
        c='<application xmlns="http://wadl.dev.java.net/2009/02"/>'.encode("utf-16"),
    )
    assert [read_description(name, read).language for name in "abc"] == ["OpenAPI 3.0", "WADL", "WADL"]


def test_the_examples_describe_the_same_operations() -> None:
    read = [
        read_description(name, FrozenServices(directory=EXAMPLES).read_file)
        for name in ("image-metadata.openapi.yaml", "image-metadata.wadl")
    ]
    first, second = (
        {
            (resource.path, operation.method): (
                operation.name,
                operation.summary,
                set(operation.roles or ()),
                operation.body_required,
                [media.range for media in operation.media],
            )
            for resource in description.resources
            for operation in resource.operations
        }
        for description in read
    )
    assert len(first) == 6
    assert first == second
    assert read[0].title == read[1].title == "Image metadata"


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"a\.yaml: cannot be read: No such file"):
        read_description("a.yaml", files())
    assert DescriptionError is ConfigurationError


def test_files_are_found_beside_the_description() -> None:
    text = '<application xmlns="http://wadl.dev.java.net/2009/02"><grammars><include href="x/a.xsd"/></grammars></application>'
    asked: list[tuple[str, str | None]] = []

    def read(name: str, /, *, beside: str | None = None) -> bytes:
        asked.append((name, beside))
        return text.encode() if name == "d/a.wadl" else b'<schema xmlns="http://www.w3.org/2001/XMLSchema"/>'

    read_description("d/a.wadl", read)
    assert asked == [("d/a.wadl", None), ("d/x/a.xsd", "d/a.wadl")]
