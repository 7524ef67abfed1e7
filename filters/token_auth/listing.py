"""Lists of proofs in YAML files beside the configuration: what is wrong is told with its place, and no value is shown."""

import re
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.api import OptionError, Rule, Services
from gateway.api.message import Failure, failures, kind_of

M = TypeVar("M", bound=BaseModel)

# An alias, an anchor or a tag that a complaint names: it may be a token that begins with `*`, `&` or `!`.
_NAMED = re.compile(r"'!?[\w-]{2,}!?'")

# What a key may look like that is shown.
_WORD = re.compile(r"[a-z_]{1,16}")


class _Loader(yaml.BaseLoader):
    """Every scalar is text (a token such as 0123 or 1e5 stays what it is), and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if len(set(map(str, names))) != len(names):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_list(path: str, model: type[M], noun: str, services: Services) -> tuple[tuple[M, ...], list[str]]:
    """The entries of a file, which are `noun`, and `line:column` of each. Raises OptionError, and never shows a value found there."""
    try:
        text = services.read_file(path).decode("utf-8")
    except OSError as error:
        raise _wrong(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _wrong(f"{path} is not UTF-8 text") from None
    try:
        loader = _Loader(text)
        node: Any = loader.get_single_node()
        value = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        place = f":{_place(error.problem_mark)}" if error.problem_mark is not None else ""
        problem = _NAMED.sub("'...'", error.problem or "not YAML")
        raise _wrong(f"{path}{place}: {problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise _wrong(f"{path}: not YAML") from None
    if not isinstance(value, list):
        raise _wrong(f"{path}: expected a list of {noun}")
    try:
        entries = TypeAdapter(tuple[model, ...]).validate_python(value)  # type: ignore[valid-type] # known at run time alone
    except ValidationError as error:
        keys: dict[Rule, set[str]] = {(number,): set(model.model_fields) for number in range(len(value))}
        found = failures(error.errors(include_url=False), value, (), keys)
        raise _wrong(
            *(f"{path}:{_place(_mark(node, one.path))}: {_told(one, value)}" for one in found)
        ) from None
    return entries, [_place(item.start_mark) for item in node.value]


def _wrong(*messages: str) -> OptionError:
    return OptionError(("file",), *messages)


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


def _mark(node: Any, path: Rule) -> Any:
    """Where `path` stands below `node`: at its key, or in a list at its first character."""
    mark = node.start_mark
    for part in path:
        if isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
        else:
            key, node = next(pair for pair in node.value if pair[0].value == part)
            mark = key.start_mark
    return mark


def _place(mark: Any) -> str:
    return f"{mark.line + 1}:{mark.column + 1}"
