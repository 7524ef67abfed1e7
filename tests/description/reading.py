"""Descriptions for tests: a few words of one, read."""

from collections.abc import Callable
from typing import Any

import yaml

from gateway.config.problem import ConfigurationError
from gateway.description.model import Description
from gateway.description.read import ReadFile, read_description


def files(**texts: str | bytes) -> ReadFile:
    """Files by name; a dot in a name is written `__`."""
    kept = {name.replace("__", "."): text for name, text in texts.items()}

    def read(name: str, /, *, beside: str | None = None) -> bytes:
        if name not in kept:
            raise FileNotFoundError(2, "No such file or directory", name)
        text = kept[name]
        return text if isinstance(text, bytes) else text.encode()

    return read


def openapi(
    paths: dict[str, Any] | None = None, *, version: str = "3.1.0", base: str | None = None, **more: Any
) -> Description:
    """An OpenAPI description with these paths."""
    text = yaml.safe_dump(
        {"openapi": version, "info": {"title": "t", "version": "1"}, "paths": paths or {}, **more},
        sort_keys=False,
    )
    return read_description("api.yaml", files(api__yaml=text), base=base)


def wadl(inside: str, **more: str) -> Description:
    """A WADL description with this inside of its `application`."""
    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        f'xmlns:t="urn:t" xmlns:rax="http://docs.rackspace.com/api">{inside}</application>'
    )
    return read_description("api.wadl", files(api__wadl=text, **more))


def problems(read: Callable[[], object]) -> list[str]:
    """What is wrong with what is read."""
    try:
        read()
    except ConfigurationError as error:
        return [str(problem) for problem in error.problems]
    return []


def operation(**more: Any) -> dict[str, Any]:
    return {"responses": {"200": {"description": "ok"}}, **more}
