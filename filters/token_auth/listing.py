"""Lists of proofs in YAML files beside the configuration: what is wrong is told with its place, and no value is shown."""

import re
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from filters._document import read_document
from gateway.api import OptionError, Rule, Services
from gateway.api.message import Failure, failures, kind_of

M = TypeVar("M", bound=BaseModel)

# What a key may look like that is shown.
_WORD = re.compile(r"[a-z_]{1,16}")

_FILE: Rule = ("file",)


def read_list(path: str, model: type[M], noun: str, services: Services) -> tuple[tuple[M, ...], list[str]]:
    """The entries of a file, which are `noun`, and `line:column` of each. Raises OptionError, and never shows a value found there."""
    document = read_document(path, services, _FILE)
    if document is None or not isinstance(document.value, list):
        raise OptionError(_FILE, f"{path}: expected a list of {noun}")
    value = document.value
    try:
        entries = TypeAdapter(tuple[model, ...]).validate_python(value)  # type: ignore[valid-type] # known at run time alone
    except ValidationError as error:
        keys: dict[Rule, set[str]] = {(number,): set(model.model_fields) for number in range(len(value))}
        found = failures(error.errors(include_url=False), value, (), keys)
        raise OptionError(
            _FILE, *(f"{document.place(one.path)}: {_told(one, value)}" for one in found)
        ) from None
    return entries, [document.place((number,)).removeprefix(f"{path}:") for number in range(len(value))]


def _told(failure: Failure, value: Any) -> str:
    """What is wrong, with the kind of a value in place of the value."""
    if failure.code == "unknown_key":
        # A token that stands where a key is expected must not be shown either.
        if not _WORD.fullmatch(str(failure.path[-1])):
            return "unknown key"
    elif failure.got:
        for part in failure.path:
            value = value[part]
        return f"{failure.message}, got {kind_of(value)}"
    return failure.message
