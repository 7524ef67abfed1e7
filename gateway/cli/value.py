"""Values of options that several commands take."""

from datetime import UTC

import click

from gateway.inspect.period import instant, utc_now


def header_pairs(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Header fields, each given as `Name: value`. Raises click.UsageError."""
    pairs = []
    for text in texts:
        name, mark, value = text.partition(":")
        if not mark or not name.strip():
            raise click.UsageError(f"Expected `Name: value`, got {text!r}.")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def seconds(text: str | None, otherwise: float) -> float:
    """Seconds since the epoch of a time as people write it (see `gateway.inspect.period`). Raises click.UsageError."""
    if text is None:
        return otherwise
    try:
        return instant(text, utc_now()).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
