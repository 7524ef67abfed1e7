"""Discriminators, as JSON Schema that says the same."""

from functools import partial
from typing import Any

import jsonschema_rs
import pytest
import yaml

from gateway.description.discriminator import divide, parts_of
from gateway.description.model import Description
from gateway.description.schema import MAX_WIDTH, Schemas
from gateway.description.source import Source, read_source
from tests.description.reading import openapi, operation, problems


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def animal(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["petType"],
        "properties": {"petType": {"type": "string"}, **properties},
    }


CAT = animal(huntingSkill={"type": "string"})
DOG = animal(packSize={"type": "integer"})
BY_TYPE: dict[str, Any] = {"propertyName": "petType"}
EITHER: dict[str, Any] = {"oneOf": [ref("Cat"), ref("Dog")], "discriminator": BY_TYPE}
HEIRS: dict[str, Any] = {
    "Pet": {**animal(friend=ref("Pet")), "discriminator": BY_TYPE},
    "Cat": {"allOf": [ref("Pet"), {"properties": {"huntingSkill": {"type": "string"}}}]},
    "Dog": {"allOf": [ref("Pet"), {"properties": {"packSize": {"type": "integer"}}}]},
    "Puppy": {"allOf": [ref("Dog"), {"required": ["age"]}]},
}


def described(side: str = "request", version: str = "3.1.0", **schemas: Any) -> Description:
    """A description of one operation, with the schema `Pet` in a body of that side."""
    content = {"content": {"application/json": {"schema": ref("Pet")}}}
    answers = {"200": {"description": "ok", **(content if side == "answer" else {})}}
    own = {"requestBody": content} if side == "request" else {}
    paths = {"/pets": {"post": operation(**own) | {"responses": answers}}}
    return openapi(paths, version=version, components={"schemas": {"Cat": CAT, "Dog": DOG, **schemas}})


def fits(description: Description, value: Any) -> bool:
    schema = {"$ref": "#/$defs/0", "$defs": description.schemas}
    return jsonschema_rs.Draft202012Validator(schema).is_valid(value)


def unchecked(*args: Any, **schemas: Any) -> list[str]:
    return [problem.message for problem in described(*args, **schemas).unchecked]


@pytest.mark.parametrize("word", ["oneOf", "anyOf"])
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"petType": "Cat"}, True),
        ({"petType": "Cat", "huntingSkill": 5}, False),
        ({"petType": "Dog", "packSize": 5, "huntingSkill": 5}, True),
        ({"petType": "Dog", "packSize": "x"}, False),
        ({"petType": "Bird"}, False),
        ({"petType": 5}, False),
        ({"huntingSkill": "x"}, False),
        ("Cat", False),
        (None, False),
    ],
)
def test_the_alternative_that_is_named_judges_alone(
    word: str, version: str, value: Any, expected: bool
) -> None:
    pet = {word: EITHER["oneOf"], "discriminator": BY_TYPE}
    assert fits(described(version=version, Pet=pet), value) == expected


@pytest.mark.parametrize("to", ["Dog", "#/components/schemas/Dog"])
def test_a_mapping_gives_more_names_and_goes_before_those_of_schemas(to: str) -> None:
    mapping = {"hound": to, "wolf": to, "Cat": to, "tom": "Cat"}
    description = described(Pet={**EITHER, "discriminator": {**BY_TYPE, "mapping": mapping}})
    for name, size in (("hound", False), ("wolf", False), ("Dog", False), ("Cat", False), ("tom", True)):
        assert fits(description, {"petType": name, "packSize": "x"}) == size, name
    assert not fits(description, {"petType": "bird"})


def test_schemas_elsewhere_have_the_names_of_the_mapping() -> None:
    place = "#/components/x-cats/0"
    pet = {"oneOf": [{"$ref": place}], "discriminator": {**BY_TYPE, "mapping": {"tom": place}}}
    source = read_source(
        yaml.safe_dump({"components": {"x-cats": [CAT], "schemas": {"Pet": pet}}}).encode(), "f"
    )
    schemas = Schemas(source, old=False)
    schemas.add(("components", "schemas", "Pet"))
    assert source.unchecked == []
    assert parts_of(schemas.made["0"]["allOf"][0]) == [{"$ref": "#/$defs/1"}]


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_what_inherits_judges_by_name_with_what_it_inherits_from(version: str) -> None:
    description = described(version=version, **HEIRS)
    assert description.unchecked == ()
    for value, expected in (
        ({"petType": "Pet"}, True),
        ({"petType": "Cat", "huntingSkill": "x"}, True),
        ({"petType": "Cat", "huntingSkill": 5}, False),
        ({"petType": "Dog", "packSize": 5, "huntingSkill": 5}, True),
        ({"petType": "Puppy"}, False),
        ({"petType": "Puppy", "age": 1, "packSize": "x"}, False),
        ({"petType": "Puppy", "age": 1}, True),
        ({"petType": "Bird"}, False),
        ({}, False),
        ({"petType": "Pet", "friend": {"petType": "Dog", "packSize": "x"}}, False),
        ({"petType": "Cat", "friend": {"petType": "Dog", "packSize": 5}}, True),
    ):
        assert fits(description, value) == expected, value


def test_an_heir_is_told_apart_by_no_name_and_what_wraps_its_base_is() -> None:
    cat = described(**{**HEIRS, "Animal": HEIRS["Pet"], "Pet": {"items": ref("Cat")}})
    assert fits(cat, [{"petType": "Dog"}])
    wrapped = described(**{**HEIRS, "Pet": {"properties": {"a": {"allOf": [ref("Base")]}}}} | _BASE)
    assert not fits(wrapped, {"a": {"petType": "Heir", "x": 5}})
    assert fits(wrapped, {"a": {"petType": "Heir", "x": "y"}})


_BASE: dict[str, Any] = {
    "Base": {**animal(), "discriminator": BY_TYPE},
    "Alias": ref("Base"),
    "Heir": {"allOf": [ref("Alias"), {"properties": {"x": {"type": "string"}}}]},
}


def test_alternatives_may_inherit_from_what_has_them() -> None:
    pet = {**animal(name={"type": "string"}), **EITHER}
    cat = {"allOf": [ref("Pet"), {"properties": {"huntingSkill": {"type": "string"}}}]}
    description = described(Pet=pet, Cat=cat, Lion={"allOf": [ref("Pet")]})
    assert fits(description, {"petType": "Cat", "name": "x"})
    assert not fits(description, {"petType": "Cat", "name": 5})
    assert not fits(description, {"petType": "Cat", "huntingSkill": 5})
    assert not fits(description, {"petType": "Lion"})
    lion = described(Pet={"allOf": [ref("Lion")]}, Animal=pet, Lion={"allOf": [ref("Animal")]}, Cat=CAT)
    assert not fits(lion, {"petType": "Lion"}), "what is none of the alternatives is held against them"


def test_a_base_that_may_be_null_still_may() -> None:
    assert fits(described("request", "3.0.3", **{**HEIRS, "Pet": {**HEIRS["Pet"], "nullable": True}}), None)


def test_alternatives_may_hold_what_has_a_discriminator_again() -> None:
    friendly = animal(friend=ref("Pet"))
    description = described(Pet=EITHER, Cat=friendly)
    value: Any = {"petType": "Dog", "packSize": 5}
    for _ in range(5):
        value = {"petType": "Cat", "friend": value}
    assert fits(description, value)
    value = {"petType": "Cat", "friend": {"petType": "Cat", "friend": {"petType": "Bird"}}}
    assert not fits(description, value)


@pytest.mark.parametrize(
    ("pet", "told"),
    [
        ({"oneOf": [ref("Cat"), {"type": "null"}], "discriminator": BY_TYPE}, "not all are references"),
        ({"anyOf": [], "discriminator": BY_TYPE}, "not all are references"),
        ({"oneOf": [ref("Cat"), ref("Cat")], "discriminator": BY_TYPE}, "are the same"),
        ({**EITHER, "discriminator": {**BY_TYPE, "mapping": {"a": "Bird"}}}, "'a' is mapped to is none"),
        ({**EITHER, "discriminator": {**BY_TYPE, "mapping": {"a": "Pet"}}}, "'a' is mapped to is none"),
        ({**EITHER, "discriminator": {**BY_TYPE, "mapping": {"a": 5}}}, "'a' is mapped to is none"),
        ({**EITHER, "discriminator": {**BY_TYPE, "mapping": []}}, "its mapping is none"),
        ({"oneOf": [{"$ref": "#/components/schemas/Dog/properties/packSize"}], "discriminator": BY_TYPE}, "has no name"),
        ({**animal(), "discriminator": BY_TYPE}, "no schema has an `allOf`"),
        ({**EITHER, "discriminator": "petType"}, "without a `propertyName`"),
        ({**EITHER, "discriminator": {"propertyName": 5}}, "without a `propertyName`"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_listed_and_its_schemas_judge_as_they_are(pet: Any, told: str) -> None:
    (found,) = unchecked(Pet=pet)
    assert told in found
    plain = {name: of for name, of in pet.items() if name != "discriminator"}
    assert described(Pet=pet).schemas == described(Pet=plain).schemas
    assert unchecked("answer", Pet=pet) == [], "nothing is asked of requests"


def test_it_is_listed_once_with_its_place() -> None:
    pet = {**animal(), "discriminator": BY_TYPE}
    twice = {"properties": {"a": {"$ref": "#/components/schemas/Base"}, "b": {"allOf": [ref("Base")]}}}
    (problem,) = described(Pet=twice, Base=pet).unchecked
    assert str(problem).startswith("api.yaml:")
    assert "/components/schemas/Base/discriminator" in str(problem)


def test_to_json_schema_itself_it_means_nothing() -> None:
    source = read_source(yaml.safe_dump({"components": {"schemas": {"Pet": EITHER}}}).encode(), "f")
    schemas = Schemas(source, old=False, plain=True)
    schemas.add(("components", "schemas", "Pet"))
    assert "oneOf" in schemas.made["0"]
    assert source.unchecked == []


def _read(schemas: Any) -> Source:
    source = read_source(yaml.safe_dump({"components": {"schemas": schemas}}).encode(), "f")
    made = Schemas(source, old=False)
    made.add(("components", "schemas", "Pet"))
    made.finish()
    return source


def test_alternatives_count_in_how_many_schemas_a_value_is_held_against() -> None:
    heirs = {f"Heir{number}": {"allOf": [ref("Pet")]} for number in range(MAX_WIDTH // 4)}
    (problem,) = _read({"Pet": HEIRS["Pet"], **heirs}).problems
    assert problem.code == "recursion"


def test_what_is_itself_by_way_of_its_alternatives_is_refused() -> None:
    pet = {"oneOf": [ref("Cat")], "discriminator": BY_TYPE}
    for cat in ({"anyOf": [ref("Pet")]}, {"allOf": [{"oneOf": [ref("Pet")]}]}, ref("Pet")):
        assert any("itself" in one for one in problems(partial(described, Pet=pet, Cat=cat)))


def test_each_part_has_its_names() -> None:
    made = divide("k", [(["a", "b"], {"type": "object"}), (["c"], True)])
    assert made["properties"] == {"k": {"enum": ["a", "b", "c"]}}
    assert parts_of(made) == [{"type": "object"}, True]
    assert parts_of({"allOf": [{"then": True}]}) == []
