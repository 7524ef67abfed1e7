"""The provider `static`: tokens that are written down, in the configuration or in a file beside it."""

import hashlib
import re
from typing import Any, ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError

from filters.token_auth.option import StaticOptions, StaticToken
from filters.token_auth.provider import Answer, LocalProvider, Refusal
from gateway.api import Exchange, Principal, Services

# An alias, an anchor or a tag that a complaint names: it may be a token that begins with `*`, `&` or `!`.
_NAMED = re.compile(r"'!?[\w-]{2,}!?'")

_LIST: TypeAdapter[tuple[StaticToken, ...]] = TypeAdapter(tuple[StaticToken, ...])


class Static(LocalProvider):
    """Tokens are looked up by their SHA-256, so that a guess learns nothing from the time it takes."""

    kind: ClassVar[str] = "static"

    def __init__(self, config: StaticOptions, services: Services) -> None:
        tokens = config.tokens if config.file is None else _read(config.file, services)
        self._principals: dict[bytes, Principal] = {}
        for place, token in enumerate(tokens or ()):
            digest = _digest(token)
            if digest in self._principals:
                raise ValueError(f"{config.file or 'tokens'}[{place}]: the same token as an earlier one")
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


def _read(path: str, services: Services) -> tuple[StaticToken, ...]:
    """The tokens of a file. Raises ValueError without ever showing a value that it found there."""
    try:
        text = services.read_file(path).decode("utf-8")
    except OSError as error:
        raise ValueError(f"file: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"file: {path} is not UTF-8 text") from None
    try:
        return _LIST.validate_python(yaml.load(text, _Loader))  # noqa: S506 - a BaseLoader makes text only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        problem = _NAMED.sub("'...'", error.problem or "not YAML")
        raise ValueError(f"{path}{place}: {problem}") from None
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"{path}: not YAML") from None
    except ValidationError as error:
        raise ValueError(
            "; ".join(f"{path}: {_place(one['loc'])}{one['msg']}" for one in error.errors())
        ) from None


def _place(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return f"{text}: " if text else ""
