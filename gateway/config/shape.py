"""A model and raw values side by side: what a value's place in the model says before it is validated.

pydantic is asked for the values; this says what it does not tell: where secrets stand, which keys a mapping
may have, and where YAML gave text for a number or a switch, which pydantic would quietly convert.
"""

import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, PlainValidator, RootModel, WrapValidator

from gateway.api.option import Secret
from gateway.config.problem import Path

_OWN_WAY = (BeforeValidator, PlainValidator, WrapValidator)
_SCALARS: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int, float)),
    float: ("a number", (int, float)),
}


class Shape:
    """What a survey found.

    secrets   paths of values whose type is Secret
    keys      path of a mapping -> the keys that its model knows
    mistyped  path of a scalar of the wrong YAML type -> what was expected
    """

    __slots__ = ("keys", "mistyped", "secrets")

    def __init__(self) -> None:
        self.secrets: set[Path] = set()
        self.keys: dict[Path, set[str]] = {}
        self.mistyped: dict[Path, str] = {}


def survey(annotation: Any, value: Any, path: Path = ()) -> Shape:
    """Walks `value` along `annotation`; paths begin with `path`."""
    shape = Shape()
    _walk(shape, annotation, value, path, False)
    return shape


def key_of(name: str, field: Any) -> str:
    """The key by which a field is written."""
    alias = field.validation_alias or field.alias
    return alias if isinstance(alias, str) else name


def converted(model: type[BaseModel], name: str) -> bool:
    """Whether a validator of the model's own sees the raw value of a field first."""
    return any(
        name in decorator.info.fields or "*" in decorator.info.fields
        for decorator in model.__pydantic_decorators__.field_validators.values()
        if decorator.info.mode in ("before", "plain", "wrap")
    )


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or nothing for another annotation."""
    origin = get_origin(annotation)
    return get_args(annotation) if origin is Union or origin is types.UnionType else ()


def _walk(shape: Shape, annotation: Any, value: Any, path: Path, own_way: bool) -> None:
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *metadata = get_args(annotation)
            own_way = own_way or any(isinstance(item, _OWN_WAY) for item in metadata)
        elif hasattr(annotation, "__value__"):  # `type X = ...`, which Python 3.11 does not have yet
            annotation = annotation.__value__
        else:
            break
    if annotation is Secret:
        shape.secrets.add(path)
    elif annotation in _SCALARS:
        expected, accepted = _SCALARS[annotation]
        wrong = not isinstance(value, accepted) or (isinstance(value, bool) and annotation is not bool)
        if wrong and not own_way:
            shape.mistyped[path] = expected
    elif members := union_members(annotation):
        _walk_union(shape, members, value, path, own_way)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        _walk_model(shape, annotation, value, path)
    elif isinstance(value, list) and isinstance(origin, type) and issubclass(origin, (Sequence, AbstractSet)):
        items = get_args(annotation)
        for place, item in enumerate(value):
            if origin is tuple and items[-1:] != (Ellipsis,):
                if place < len(items):
                    _walk(shape, items[place], item, (*path, place), own_way)
            elif items:
                _walk(shape, items[0], item, (*path, place), own_way)
    elif isinstance(value, dict) and own_way and isinstance(origin, type) and issubclass(origin, Sequence):
        _walk(shape, get_args(annotation)[0], value, path, own_way)  # one that may stand for a list of one
    elif isinstance(value, dict) and isinstance(origin, type) and issubclass(origin, Mapping):
        for key, item in value.items():
            _walk(shape, get_args(annotation)[1], item, (*path, key), own_way)


def _walk_union(shape: Shape, members: tuple[Any, ...], value: Any, path: Path, own_way: bool) -> None:
    """Mistyped only where no member would take the value as it is."""
    if value is None and type(None) in members:
        return
    here = [Shape() for _ in members]
    for member, found in zip(members, here, strict=True):
        if member is not type(None):
            _walk(found, member, value, path, own_way)
            shape.secrets |= found.secrets
            for place, keys in found.keys.items():
                shape.keys.setdefault(place, set()).update(keys)
    candidates = [found for member, found in zip(members, here, strict=True) if member is not type(None)]
    if candidates and all(found.mistyped for found in candidates):
        for found in candidates:
            if path in found.mistyped and path in shape.mistyped:
                shape.mistyped[path] += f" or {found.mistyped[path]}"
            else:
                shape.mistyped.update(found.mistyped)


def _walk_model(shape: Shape, model: type[BaseModel], value: Any, path: Path) -> None:
    if issubclass(model, RootModel):
        _walk(shape, model.model_fields["root"].annotation, value, path, False)
    elif isinstance(value, dict):
        known = shape.keys.setdefault(path, set())
        for name, field in model.model_fields.items():
            key = key_of(name, field)
            known.add(key)
            if key in value:
                own_way = converted(model, name) or any(isinstance(item, _OWN_WAY) for item in field.metadata)
                _walk(shape, field.annotation, value[key], (*path, key), own_way)
