"""A block of core options that is written but empty."""

from gateway.config.section import Section


class Block(Section):
    size: int = 3


def test_a_block_that_is_written_but_empty_stands_for_its_defaults() -> None:
    assert Block.model_validate(None) == Block.model_validate({}) == Block()
    assert Block.model_validate({"size": 4}).size == 4
