"""A message body as a filter sees it: whole already, or a stream to be wrapped or collected."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from mypy_extensions import mypyc_attr

Wrapper: TypeAlias = Callable[[bytes], bytes]


@mypyc_attr(allow_interpreted_subclasses=True)
class Body:
    """The body of a request or a response.

    complete  the bytes, when all of them are here already; None while they still arrive
    length    in bytes, when it is known (Content-Length, or a complete body); None for a chunked stream

    `wrap(fn)` lets `fn` see each chunk on its way, then b"" once at the end; what it returns goes on.
    It may raise `Refused(fault)`: before the head of the response has left, the fault is answered;
    after, the connection is aborted. A wrapper that changes the number of bytes says `resizes=True`.

    `await collect(limit)` waits for the whole body and returns it; over `limit` bytes it raises
    `Refused` with a 413. A collected body is `complete` from then on.
    `replace(change)` puts other bytes in the place of a complete body, for later filters and for the receiver.
    """

    # Most messages of an API have no body: theirs is the class's.
    complete: bytes | None = b""
    length: int | None = 0
    wrappers: tuple[Wrapper, ...] = ()
    resized = False

    def __init__(self, complete: bytes | None = b"", length: int | None = None) -> None:
        if complete is None:
            self.complete = None
            self.length = length
        elif complete:
            self.complete = complete
            self.length = len(complete)

    def wrap(self, fn: Wrapper, *, resizes: bool = False) -> None:
        self.wrappers = (*self.wrappers, fn)
        if resizes:
            self.resized = True
            self.length = None

    def collect(self, limit: int) -> Awaitable[bytes]:
        """The whole body, at most `limit` bytes; raises Refused(413) beyond."""
        return self._collected(limit)

    async def _collected(self, limit: int) -> bytes:
        if self.complete is None:  # a source that streams brings its own `collect`
            raise RuntimeError("this body cannot be collected")
        if len(self.complete) > limit:
            raise too_large(limit)
        return self.complete

    def replace(self, change: Callable[[bytes], bytes]) -> None:
        """Puts what `change` makes of a complete body in its place, behind the wrappers that there are. May raise Refused."""
        if self.complete is None:
            raise RuntimeError("only a body that is complete can be replaced")
        data = self.complete
        if self.wrappers:
            data = (self.through(data) if data else b"") + self.through(b"")
        self.complete = data = change(data)
        self.length = len(data)
        self.wrappers = ()
        self.resized = True

    def through(self, chunk: bytes) -> bytes:
        """One chunk through every wrapper; b"" ends the body, and what it releases is returned."""
        if chunk:
            for fn in self.wrappers:
                chunk = fn(chunk)
                if not chunk:  # held back: to those behind it, nothing would be the end
                    break
            return chunk
        rest = b""
        for fn in self.wrappers:
            rest = (fn(rest) + fn(b"")) if rest else fn(b"")
        return rest


def too_large(limit: int) -> Exception:
    """The refusal of a body of more than `limit` bytes: 413 without Retry-After (RFC 9110 15.5.14)."""
    from gateway.api.verdict import Fault, Refused

    return Refused(
        Fault(
            413,
            "body_too_large",
            "Request body is too large.",
            details=f"At most {limit} bytes are accepted.",
        )
    )
