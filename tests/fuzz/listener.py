"""The listener, and all behind it up to the upstream's socket: what is forwarded is what the reference reads, or nothing.

An input is a byte of choices, a byte that says how long a segment is, and what a client sends. A gateway with one route
stands between that client and a recording upstream, all in memory and without a loop that turns. No exception escapes,
the judge of tests/smuggling finds nothing wrong, what the client gets are responses by the letter, and the connection
ends.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

from gateway.config.load import loads
from gateway.listener.connection import Connection
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.plan import Plan, build_plan
from gateway.record import Record
from gateway.registry import Registry
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.pool import Pool
from tests.fuzz.still import StillLoop
from tests.smuggling.catalogue import CATALOGUE, DIALOGUES
from tests.smuggling.judge import Answer, Outcome, Speaker, judge
from tests.smuggling.recorder import BODY, Recorder, Recording
from tests.smuggling.reference import Message, Stream, parse
from tests.smuggling.response import Stop, read_reply
from tests.support.gateway import PSEUDONYM, configuration
from tests.support.transport import FakeTransport

_ENDPOINT: Final = "127.0.0.1:1"
_SPEAKER: Final = Speaker(b"192.0.2.1", PSEUDONYM.encode(), _ENDPOINT.encode())


class Choices(NamedTuple):
    """What the first two bytes say.

    cut      0 one segment, 1 each byte, 2 pieces of `step` bytes, 3 a segment for each message
    lenient  the route takes targets with two readings
    eager    the upstream answers at the end of a head
    narrow   a write fills its socket, each time
    end      0 the client ends its side, 1 it resets the connection, 2 and 3 it falls silent
    tunnel   the route lets a client switch to WebSocket, and the upstream takes what it is offered
    """

    cut: int
    lenient: bool
    eager: bool
    narrow: bool
    end: int
    step: int
    tunnel: bool = False


def choices(data: bytes) -> Choices:
    flags, step = (data[:2] + b"\x00\x00")[:2]
    lenient, eager, narrow, tunnel = (bool(flags & bit) for bit in (4, 8, 16, 128))
    return Choices(flags & 3, lenient, eager, narrow, flags >> 5 & 3, step + 1, tunnel)


def coded(said: bytes, made: Choices = Choices(0, False, False, False, 0, 1)) -> bytes:
    """The input in which a client says this."""
    flags = (
        made.cut | made.lenient << 2 | made.eager << 3 | made.narrow << 4 | made.end << 5 | made.tunnel << 7
    )
    return bytes([flags, made.step - 1]) + said


_ASKING: Final = Choices(3, True, False, False, 0, 1)
_SHORT: Final = 2000
"""Bytes of a seed: long inputs are slow, and say little more."""


def _plan(target: str, *upgrade: str) -> Plan:
    route = {"name": "any", "path": "/{rest*}", "upstream": "main", "target": target, "upgrade": [*upgrade]}
    registry = Registry()
    return build_plan(
        loads(configuration(f"http://{_ENDPOINT}", routes=[route]), "gateway.yaml", registry=registry),
        registry,
    )


_PLANS: Final = {
    (lenient, tunnel): _plan("lenient" if lenient else "strict", *["websocket"] * tunnel)
    for lenient in (False, True)
    for tunnel in (False, True)
}


def check(data: bytes) -> None:
    """Plays one input. Raises AssertionError where something does not hold."""
    made = choices(data)
    said = data[2:]
    stream = parse(said)
    loop = StillLoop()
    with loop.running():
        world = _World(loop, made)
        world.speak(_segments(said, made, stream))
        world.end()
    world.judge(said, stream)


def seeds() -> list[bytes]:
    """Inputs to begin with: the catalogue of tests/smuggling, whole and a message at a time."""
    said = [data for data in CATALOGUE.values() if len(data) < _SHORT]
    said += [b"".join(segments) for segments in DIALOGUES.values()]
    made = [coded(data) for data in said] + [coded(data, _ASKING) for data in said]
    return made + [coded(data, _ASKING._replace(tunnel=True)) for data in said if b"pgrade" in data]


class _World:
    """A gateway, its client and its upstream. `later` holds what happens next, in order."""

    def __init__(self, loop: StillLoop, made: Choices) -> None:
        self.made = made
        self.later: deque[Callable[[], object]] = deque()
        self.recorder = Recorder(eager=made.eager, switches=made.tunnel)
        self._loop = loop
        self._records: list[Record] = []
        self._bugs: list[Any] = []
        plan = _PLANS[made.lenient, made.tunnel]
        self._pool = Pool("main", plan.configuration.upstreams["main"])
        self._listener = Listener(
            Generation(plan, {"main": self._pool}),
            publish=self._records.append,
            report_bug=lambda *bug: self._bugs.append(bug),
        )
        self._connection = Connection(self._listener)
        self._client = _Client(self, self._connection)
        self._connection.connection_made(self._client)

    def speak(self, segments: Iterator[bytes]) -> None:
        """The client sends, each segment when what the last one caused has happened."""
        for segment in segments:
            self._settle()
            if self._client.closing:
                return
            assert not self._client.paused, "the client is not read from, and nothing will change that"
            self._connection.data_received(segment)
        self._settle()

    def end(self) -> None:
        """The client ends, and time passes until the connection is gone."""
        client = self._client
        if not client.closing:
            if self.made.end == 0:
                if not self._connection.eof_received():
                    client.close()
            elif self.made.end == 1:
                client.abort(ConnectionResetError())
        self._settle()
        for _ in range(60):
            if client.gone:
                break
            self._loop.jump(10.0)
            self._settle()
        assert client.gone, "the connection stays for ever"
        assert self._listener.connection_count == 0
        self._pool.close()
        self._settle()
        for left in list(self.recorder.connections):
            left.transport.close()
        self._settle()
        self._listener.wheel.close()

    def judge(self, said: bytes, stream: Stream) -> None:
        assert not self._bugs, self._bugs
        assert not self._loop.problems, self._loop.problems
        recorder = self.recorder
        assert not recorder.strays, recorder.strays
        answers = _answers(bytes(self._client.written), _methods(said, stream.messages), self._client)
        entries = sorted(recorder.entries, key=lambda entry: entry.number)
        problem = judge(Outcome(stream, answers, entries, said), _SPEAKER._replace(tunnels=self.made.tunnel))
        assert problem is None, problem
        assert len(self._records) >= len(answers), "an exchange without a record"

    def _settle(self) -> None:
        """Lets happen what has been caused. There is an idle connection to the upstream all the while."""
        while True:
            (endpoint,) = self._pool.endpoints
            if not endpoint.idle:
                connection = UpstreamConnection()
                connection.keep_alive = True  # as one that has been used
                connection.connection_made(_ToUpstream(self, connection))
                endpoint.idle.append(connection)
            if not self.later:
                return
            self.later.popleft()()


class _End(FakeTransport):
    """The gateway's end of a connection."""

    def __init__(self, world: _World, protocol: Any) -> None:
        super().__init__()
        self.world = world
        self.protocol = protocol
        self.gone = False
        self._full = False

    def write(self, data: Any) -> None:
        if self.closing:
            return
        super().write(data)
        if self.world.made.narrow and not self._full:
            self._full = True
            self.protocol.pause_writing()
            self.world.later.append(self._drained)

    def _drained(self) -> None:
        self._full = False
        if not self.closing:
            self.protocol.resume_writing()

    def close(self) -> None:
        self._lose(None)

    def abort(self, error: Exception | None = None) -> None:
        self.aborted = True
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self.world.later.append(partial(self._lost, error))

    def _lost(self, error: Exception | None) -> None:
        self.gone = True
        self.protocol.connection_lost(error)


class _Client(_End):
    """The connection with the client; `written` is what it gets."""


class _ToUpstream(_End):
    """A connection to the recording upstream."""

    def __init__(self, world: _World, connection: UpstreamConnection) -> None:
        super().__init__(world, connection)
        self._held: list[bytes] = []
        self._recording = Recording(world.recorder)
        self._recording.connection_made(_FromUpstream(self))

    def write(self, data: Any) -> None:
        if not self.closing:
            self.world.later.append(partial(self._recording.data_received, bytes(data)))
        super().write(data)

    def answered(self, data: bytes) -> None:
        """The upstream has sent something."""
        self._held.append(data)
        if not self.paused:
            self.resume()

    def resume_reading(self) -> None:
        super().resume_reading()
        self.world.later.append(self.resume)

    def resume(self) -> None:
        while self._held and not self.paused and not self.closing:
            self.protocol.data_received(self._held.pop(0))

    def write_eof(self) -> None:
        super().write_eof()
        self.world.later.append(self.ended)

    def ended(self) -> None:
        """The upstream ends the connection."""
        if not self.closing:
            self.protocol.eof_received()
            self.close()

    def _lost(self, error: Exception | None) -> None:
        self._recording.connection_lost(None)
        super()._lost(error)


class _FromUpstream(FakeTransport):
    """The upstream's end of a connection."""

    def __init__(self, other: _ToUpstream) -> None:
        super().__init__()
        self._other = other

    def write(self, data: Any) -> None:
        self._other.world.later.append(partial(self._other.answered, bytes(data)))

    def close(self) -> None:
        self._other.ended()

    def abort(self) -> None:
        self._other.close()


def _methods(said: bytes, messages: Sequence[Message]) -> list[bytes]:
    """What the client has asked for, as far as an answer stands on it: also of what is no message and begins as one."""
    rest = said[messages[-1].end if messages else 0 :]
    while rest.startswith(b"\r\n"):
        rest = rest[2:]
    return [*(message.method for message in messages), b"HEAD" if rest.startswith(b"HEAD ") else b"GET"]


def _answers(written: bytes, methods: Sequence[bytes], client: _Client) -> list[Answer]:
    """The final responses that the client has got, by the letter."""
    offered = (b"websocket",) if client.world.made.tunnel else ()
    answers: list[Answer] = []
    at = 0
    while at < len(written):
        method = methods[len(answers)] if len(answers) < len(methods) else b"GET"
        reply = read_reply(written, at, method, ended=not client.aborted, offered=offered)
        if isinstance(reply, Stop):
            begun = reply.begun
            assert client.aborted and not reply.reason, f"no response: {reply} in {written[at:]!r}"
            if begun is None:
                break
            reply = begun._replace(end=len(written))
        seen = reply.all(b"x-seen")
        assert len(seen) < 2 and (not seen or reply.body in (BODY, b"")), reply
        answers.append(Answer(reply.status, int(seen[0]) if seen else None))
        at = reply.end
        last = reply.closes or reply.status == 101
        assert at == len(written) or not last, f"bytes behind the last response: {written[at:]!r}"
    return answers


def _segments(said: bytes, made: Choices, stream: Stream) -> Iterator[bytes]:
    if made.cut == 3:
        cuts = [0, *(message.end for message in stream.messages), len(said)]
    elif made.cut:
        cuts = [*range(0, len(said), 1 if made.cut == 1 else made.step), len(said)]
    else:
        cuts = [0, len(said)]
    for begin, end in pairwise(cuts):
        if begin < end:
            yield said[begin:end]
