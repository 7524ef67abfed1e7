"""A bounded memo, for what is worked out of a key and is worth keeping while the key comes again."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(dict[K, V], Generic[K, V]):
    """From a key to what `make` makes of it, at most `most` of them. Where there are too many, those go that have not been
    asked for since half of them came.

    As a dictionary it has the newer half; `known` has all.
    """

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        super().__init__()
        self._make = make
        self._half = max(1, most // 2)
        self._older: dict[K, V] = {}

    def __missing__(self, key: K) -> V:
        if len(self) >= self._half:
            self._older = dict(self)
            self.clear()
        older = self._older
        value = self[key] = older.pop(key) if key in older else self._make(key)
        return value

    def known(self) -> list[K]:
        """All keys that it remembers."""
        return [*self._older, *self]
