"""The clients of a soak: requests of every kind at a steady rate, each with a number of its own, and what became of them."""

import asyncio
import random
from collections import Counter

PATIENCE = 30.0
"""Seconds after which a request counts as lost: the gateway gives an upstream a fraction of that."""


class Load:
    """`run` asks until it is told to stop.

    statuses  answers by status; 0 for a connection that ended without a whole answer
    whole     numbers of requests that were answered, by the upstream and in whole
    once      numbers of requests that may be done once at the most
    unsent    numbers of requests that the client has broken off
    wrong     what must not happen, in words
    """

    def __init__(self, port: int, seed: int, *, clients: int, rate: float) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._clients = clients
        self._pause = clients / rate
        self._number = 0
        self._stops = False
        self.statuses: Counter[int] = Counter()
        self.whole: set[int] = set()
        self.once: set[int] = set()
        self.unsent: set[int] = set()
        self.wrong: list[str] = []

    def stop(self) -> None:
        """No request is begun any more; `run` ends with those in progress."""
        self._stops = True

    def _goes_on(self) -> bool:
        return not self._stops

    @property
    def asked(self) -> int:
        return self._number

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self) -> None:
        while self._goes_on():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                self.wrong.append(f"the gateway takes no connection: {error}")
                return
            try:
                for _ in range(self._random.randint(1, 50)):
                    await asyncio.sleep(self._pause * 2 * self._random.random())
                    if not self._goes_on() or not await self._ask(reader, writer):
                        break
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Asks once; whether the connection is fit for another request."""
        chance = self._random
        self._number = number = self._number + 1
        method = chance.choice(("GET", "GET", "GET", "PUT", "POST", "POST"))
        if method == "POST":
            self.once.add(number)
        status = 503 if chance.random() < 0.02 else 200
        size = chance.choice((0, 10, 1000, 100_000))
        head = f"{method} /{number}/{status}/{size} HTTP/1.1\r\nHost: soak\r\n"
        body = b"" if method == "GET" else b"a" * chance.choice((0, 100, 5000, 100_000))
        if method == "GET":
            data = f"{head}\r\n".encode()
        elif body and chance.random() < 0.3:
            data = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
            data += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        try:
            async with asyncio.timeout(PATIENCE):
                if chance.random() < 0.02:
                    self.unsent.add(number)
                    writer.write(data[: chance.randint(1, len(data))])
                    await writer.drain()
                    return False
                writer.write(data)
                await writer.drain()
                return await self._answer(reader, number)
        except TimeoutError:
            self.wrong.append(f"request {number} has had no answer within {PATIENCE:g} s")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.statuses[0] += 1
        return False

    async def _answer(self, reader: asyncio.StreamReader, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        length = head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        self.statuses[status] += 1
        mark = head.partition(b"\r\nx-number: ")[2].partition(b"\r\n")[0]
        if mark:
            self.whole.add(number)
            if int(mark) != number:
                self.wrong.append(f"request {number} was given the answer of {mark.decode()}")
        return b"\r\nconnection: close\r\n" not in head
