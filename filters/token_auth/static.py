"""The provider `static`: tokens that are written down, in the configuration or in a file beside it."""

import hashlib
import re
from typing import Any, ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError

from filters.token_auth.option import StaticOptions, StaticToken
from filters.token_auth.provider import Answer, LocalProvider, Refusal
from gateway.api import Exchange, OptionError, Principal, Rule, Services
from gateway.api.message import Failure, failures, kind_of

# An alias, an anchor or a tag that a complaint names: it may be a token that begins with `*`, `&` or `!`.
_NAMED = re.compile(r"'!?[\w-]{2,}!?'")

# What a key may look like that is shown.
_WORD = re.compile(r"[a-z_]{1,16}")

_LIST: TypeAdapter[tuple[StaticToken, ...]] = TypeAdapter(tuple[StaticToken, ...])


class Static(LocalProvider):
    """Tokens are looked up by their SHA-256, so that a guess learns nothing from the time it takes."""

    kind: ClassVar[str] = "static"

    def __init__(self, config: StaticOptions, services: Services) -> None:
        tokens, places = (config.tokens or (), None) if config.file is None else _read(config.file, services)
        self._principals: dict[bytes, Principal] = {}
        for number, token in enumerate(tokens):
            digest = _digest(token)
            if digest in self._principals:
                message = "the same token as an earlier one"
                if places is None:
                    raise OptionError(("tokens", number), message)
                raise OptionError(("file",), f"{config.file}:{places[number]}: {message}")
            self._principals[digest] = _principal(token)
        self.fingerprint = hashlib.sha256(
            repr(sorted(self._principals.items(), key=lambda item: item[0])).encode()
        ).digest()

    def look_up(self, token: str, exchange: Exchange) -> Answer:
        principal = self._principals.get(hashlib.sha256(token.encode("ascii")).digest())
        if principal is None:
            return None
        if principal.expires_at is not None and principal.expires_at <= exchange.clock.wall:
            return Refusal("token_expired")
        return principal


def _digest(token: StaticToken) -> bytes:
    if token.token is not None:
        return hashlib.sha256(token.token.reveal().encode("ascii")).digest()
    assert token.token_sha256 is not None
    return bytes.fromhex(token.token_sha256.reveal())


def _principal(token: StaticToken) -> Principal:
    return Principal(
        user_id=token.user_id,
        user_name=token.user,
        project_id=token.project_id,
        project_name=token.project_name,
        roles=token.roles,
        expires_at=token.expires,
        provider=Static.kind,
    )


class _Loader(yaml.BaseLoader):
    """Every scalar is text (a token such as 0123 or 1e5 stays what it is), and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if len(set(map(str, names))) != len(names):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read(path: str, services: Services) -> tuple[tuple[StaticToken, ...], list[str]]:
    """The tokens of a file, and `line:column` of each. Raises OptionError, and never shows a value found there."""
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
        raise _wrong(f"{path}: expected a list of tokens")
    try:
        tokens = _LIST.validate_python(value)
    except ValidationError as error:
        keys: dict[Rule, set[str]] = {
            (number,): set(StaticToken.model_fields) for number in range(len(value))
        }
        found = failures(error.errors(include_url=False), value, (), keys)
        raise _wrong(
            *(f"{path}:{_place(_mark(node, one.path))}: {_told(one, value)}" for one in found)
        ) from None
    return tokens, [_place(item.start_mark) for item in node.value]


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
