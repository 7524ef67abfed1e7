"""Header fields as they travel: RFC 9110 section 5.

A field section is kept as the bytes that arrived: order, case and repeated lines are never changed by
reading it (RFC 9110 section 5.3). Names compare without regard to case; values are read and written as
latin-1 text, which maps every byte to itself. The index that makes look-ups cheap is built at the first
look-up and not before.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from mypy_extensions import mypyc_attr

RawField = tuple[bytes, bytes]

MEMO_MAX = 2048
MEMO_NAME = 64
"""The longest name that is remembered: a hostile one may be as long as a head."""


class _Folded(dict[bytes | str, bytes]):
    """A bounded memo from a field name, bytes or text, to its lower-case bytes.

    Clients spell a few dozen names in a few ways each; the memo is emptied when a hostile one fills it.
    """

    def __missing__(self, name: bytes | str) -> bytes:
        folded = (name if isinstance(name, bytes) else name.encode("latin-1")).lower()
        if len(name) > MEMO_NAME:
            return folded
        if len(self) >= MEMO_MAX:
            self.clear()
        self[name] = folded
        return folded


folded = _Folded()


@mypyc_attr(allow_interpreted_subclasses=True)
class Fields:
    """A mutable list of header fields over raw bytes.

    Names may be given as text or bytes, in any case. `get`, `all` and `has` read; `set`, `add` and
    `remove` edit. Iteration gives the raw (name, value) pairs in order.
    """

    __slots__ = ("_appended", "_index", "_lines", "_wire", "shared")

    def __init__(self, lines: Iterable[RawField] = ()) -> None:
        self._lines: list[RawField] | tuple[RawField, ...] = (
            lines if isinstance(lines, tuple) else list(lines)
        )
        self._index: dict[bytes, bytes | list[bytes]] | None = None
        self._appended: Fields | None = None  # a block that has not been copied to the lines yet
        self._wire: bytes | None = None
        self.shared = False
        """Whether they began as a copy of others: what is worked out of their index is of use again."""

    @classmethod
    def over(cls, lines: list[RawField]) -> "Fields":
        """Fields over a list that nobody else changes from now on; it is not copied."""
        fields = cls(())
        fields._lines = lines
        return fields

    def copy(self) -> "Fields":
        """Fields that begin as these are, and share what was worked out of them until they are edited."""
        lines = self._lines if self._appended is None else self.raw
        if isinstance(lines, list):
            self._lines = lines = tuple(lines)
        fields = Fields(lines)
        fields._index = self._index or self.index()
        fields.shared = True
        return fields

    def index(self) -> dict[bytes, bytes | list[bytes]]:
        """Lower-case name -> value, or the list of values where the name is repeated. Not to be changed."""
        if self._appended is not None:
            self._settle()
        index = self._index
        if index is None:
            fold = folded
            lines = self._lines
            once: dict[bytes, bytes | list[bytes]] = {fold[name]: value for name, value in lines}
            self._index = index = once if len(once) == len(lines) else _with_repeats(lines)
        return index

    def get(self, name: str | bytes, default: str | None = None) -> str | None:
        """The first value of `name` as latin-1 text, or `default`."""
        value = self.index().get(folded[name])
        if value is None:
            return default
        if isinstance(value, list):
            value = value[0]
        return value.decode("latin-1")

    def all(self, name: str | bytes) -> list[str]:
        """Every value of `name`, in order; one element per line, lines are not split at commas."""
        value = self.index().get(folded[name])
        if value is None:
            return []
        if isinstance(value, list):
            return [line.decode("latin-1") for line in value]
        return [value.decode("latin-1")]

    def has(self, name: str | bytes) -> bool:
        return folded[name] in self.index()

    def set(self, name: str | bytes, value: str | bytes) -> None:
        """Replaces every line of `name` by one, at the place of the first; adds it when there is none.

        Raises ValueError for a name or value that could not travel (RFC 9110 section 5.5).
        """
        line = encoded(name, value)
        key = folded[line[0]]
        if key not in self.index():
            self._editable().append(line)
        else:
            lines: list[RawField] = []
            placed = False
            for old in self._lines:
                if folded[old[0]] != key:
                    lines.append(old)
                elif not placed:
                    placed = True
                    lines.append(line)
            self._lines = lines
        self._index = None

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Appends one line. Raises ValueError as `set` does."""
        self._editable().append(encoded(name, value))
        self._index = None

    def remove(self, name: str | bytes) -> None:
        """Removes every line of `name`; nothing happens when there is none."""
        key = folded[name]
        if key in self.index():
            self._lines = [line for line in self._lines if folded[line[0]] != key]
            self._index = None

    def replace(self, lines: Iterable[RawField]) -> None:
        """Puts other raw lines in place of all; the caller vouches for their syntax."""
        self._lines = list(lines)
        self._appended = self._index = None

    def extend(self, block: "Fields") -> None:
        """Appends the lines of `block`, which is not changed any more and may be appended to many; nothing is checked.

        A block that is built once costs nothing to append until somebody reads these fields again.
        """
        if type(self) is not Fields:  # a view keeps its edits elsewhere
            for name, value in block:
                self.add(name, value)
            return
        if self._appended is not None:
            self._settle()
        self._appended = block

    def _settle(self) -> None:
        """Copies the appended block to the lines."""
        block, self._appended = self._appended, None
        assert block is not None
        self._lines = [*self._lines, *block.raw]
        mine = self._index
        if mine is not None:
            theirs = block.index()
            both = {**mine, **theirs}
            # Where a name was here before, the index would lose values.
            self._index = both if len(both) == len(mine) + len(theirs) else None

    def wire(self) -> bytes:
        """The lines as they go on the wire; kept, for a block that is appended to many."""
        if self._wire is None:
            self._wire = b"".join([b"%b: %b\r\n" % line for line in self.raw])
        return self._wire

    def appended_to(self, lines: "list[RawField] | tuple[RawField, ...]") -> "Fields | None":
        """The block that was appended to just these `lines`, empty when nothing was; None when more was done to them."""
        return (self._appended or _NOTHING) if self._lines is lines else None

    def drop(self, names: AbstractSet[bytes]) -> None:
        """Removes every line whose lower-case name is among `names`."""
        present = names & self.index().keys()
        if not present:
            return
        if type(self) is not Fields:
            for name in present:
                self.remove(name)
            return
        self._lines = [line for line in self._lines if folded[line[0]] not in present]
        self._index = None

    def overlay(self) -> "Overlay":
        """Fields that read through to these and keep their edits to themselves."""
        return Overlay(self)

    def _editable(self) -> list[RawField]:
        if self._appended is not None:
            self._settle()
        if isinstance(self._lines, tuple):
            self._lines = list(self._lines)
        return self._lines

    @property
    def raw(self) -> "list[RawField] | tuple[RawField, ...]":
        """The (name, value) pairs in order, not to be changed through this view."""
        if self._appended is not None:
            self._settle()
        return self._lines

    def __iter__(self) -> Iterator[RawField]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        # Values may be credentials: a repr that ends in a log shows names only.
        return f"Fields({[name.decode('latin-1') for name, _ in self.raw]})"


_NOTHING = Fields()


def _with_repeats(lines: Iterable[RawField]) -> dict[bytes, bytes | list[bytes]]:
    index: dict[bytes, bytes | list[bytes]] = {}
    for name, value in lines:
        key = folded[name]
        if key in index:
            seen = index[key]
            if isinstance(seen, list):
                seen.append(value)
            else:
                index[key] = [seen, value]
        else:
            index[key] = value
    return index


@mypyc_attr(allow_interpreted_subclasses=True)
class Overlay(Fields):
    """Fields whose edits stay here while reads fall through to `base` for every name not edited."""

    __slots__ = ("_base", "_edits")

    def __init__(self, base: Fields) -> None:
        super().__init__()
        self._base = base
        self._edits: dict[bytes, list[RawField]] = {}

    def index(self) -> dict[bytes, bytes | list[bytes]]:
        if not self._edits:
            return self._base.index()
        index = {key: value for key, value in self._base.index().items() if key not in self._edits}
        for key, lines in self._edits.items():
            if lines:
                index[key] = lines[0][1] if len(lines) == 1 else [value for _, value in lines]
        return index

    def get(self, name: str | bytes, default: str | None = None) -> str | None:
        value = self.all(name)
        return value[0] if value else default

    def set(self, name: str | bytes, value: str | bytes) -> None:
        line = encoded(name, value)
        self._edits[folded[line[0]]] = [line]

    def add(self, name: str | bytes, value: str | bytes) -> None:
        line = encoded(name, value)
        key = folded[line[0]]
        kept = self._edits.get(key)
        if kept is None:
            kept = [old for old in self._base.raw if folded[old[0]] == key]
        self._edits[key] = [*kept, line]

    def remove(self, name: str | bytes) -> None:
        self._edits[folded[name]] = []

    def replace(self, lines: Iterable[RawField]) -> None:
        self._edits = {key: [] for key in self._base.index()}
        for line in lines:
            self._edits.setdefault(folded[line[0]], []).append(line)

    @property
    def raw(self) -> list[RawField]:
        merged = [line for line in self._base.raw if folded[line[0]] not in self._edits]
        for lines in self._edits.values():
            merged.extend(lines)
        return merged

    def __iter__(self) -> Iterator[RawField]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CONTROL = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"


def is_token(text: bytes) -> bool:
    """Whether it may be the name of a field (RFC 9110 section 5.6.2)."""
    return bool(text) and _TOKEN.issuperset(text)


def encoded(name: str | bytes, value: str | bytes) -> RawField:
    """Name and value as bytes fit to be sent, or ValueError.

    The name must be a token (RFC 9110 section 5.6.2); the value holds no control byte but HTAB (section
    5.5), is stripped of outer white space, and text beyond latin-1 is sent as UTF-8.
    """
    raw_name = name.encode("latin-1", "replace") if isinstance(name, str) else name
    if not is_token(raw_name):
        raise ValueError(f"not a field name: {raw_name!r}")
    if isinstance(value, str):
        try:
            raw_value = value.encode("latin-1")
        except UnicodeEncodeError:
            raw_value = value.encode("utf-8", "surrogateescape")
    else:
        raw_value = value
    raw_value = raw_value.strip(b" \t")
    if raw_value.translate(None, _CONTROL) != raw_value:
        raise ValueError(f"control character in the value of {raw_name.decode('latin-1')}")
    return raw_name, raw_value
