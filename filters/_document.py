"""YAML files beside the configuration: what is wrong with one is told with its place in it."""

import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from gateway.api import OptionError, Rule, Services

# An alias, an anchor or a tag that a complaint names: it may be a secret that begins with `*`, `&` or `!`.
_NAMED: Final = re.compile(r"'!?[\w-]{2,}!?'")

_Base: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # the C parser where PyYAML was built with it


class _Loader(_Base):  # type: ignore[misc] # which of the two is known at run time alone
    """Every scalar is text (0123 or 1e5 stays what it is), and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if len(set(map(str, names))) != len(names):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


class Document:
    """A file read: its value, of mappings, lists and text alone, and the node that knows the places."""

    def __init__(self, path: str, value: Any, node: Any) -> None:
        self.path = path
        self.value = value
        self._node = node
        # Of the mappings that were asked for: a place may be wanted of each of many thousand keys.
        self._members: dict[int, dict[str, tuple[Any, Any]]] = {}

    def place(self, path: Sequence[str | int] = ()) -> str:
        """`file:line:column` of what stands at `path`: of its key, or in a list of its first character."""
        node = self._node
        mark = node.start_mark
        for part in path:
            if isinstance(part, int):
                node = node.value[part]
                mark = node.start_mark
            else:
                key, node = self._members_of(node)[part]
                mark = key.start_mark
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}"

    def _members_of(self, node: Any) -> dict[str, tuple[Any, Any]]:
        """The key and the value of each, by the text of the key."""
        members = self._members.get(id(node))
        if members is None:
            members = {pair[0].value: pair for pair in node.value if isinstance(pair[0].value, str)}
            self._members[id(node)] = members
        return members


def read_document(path: str, services: Services, rule: Rule) -> Document | None:
    """The file; None for one without any value. Raises OptionError with `rule`, and never shows a value found there."""
    try:
        text = services.read_file(path).decode("utf-8")
    except OSError as error:
        raise OptionError(rule, f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise OptionError(rule, f"{path} is not UTF-8 text") from None
    try:
        loader = _Loader(text)
        node: Any = loader.get_single_node()
        value = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        problem = _NAMED.sub("'...'", error.problem or "not YAML")
        if "nesting depth" in problem:
            problem = "not YAML that anybody would write"
        raise OptionError(rule, f"{path}{place}: {problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise OptionError(rule, f"{path}: not YAML") from None
    return None if node is None else Document(path, value, node)
