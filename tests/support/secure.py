"""A client that speaks TLS on a raw socket: what comes before the handshake is as much in the test's hand as the rest."""

import ssl
from typing import Self

from gateway.config.model import Place
from tests.support.authority import HOST, Authority, Pair
from tests.support.client import Client
from tests.support.deadline import within
from tests.support.sockets import PIECE


def trusting(authority: Authority, own: Pair | None = None, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """The context of a client that believes `authority`, and has a certificate of its own."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class SecureClient(Client):
    """Plain until `secure` has been called."""

    tls: ssl.SSLObject | None = None
    ended_well = False
    """The other side has said by TLS that no more comes."""

    @classmethod
    async def open(cls, place: Place, context: ssl.SSLContext, before: bytes = b"") -> Self:
        """A connection under TLS, with `before` sent in front of it."""
        client = await cls.connect(place)
        try:
            if before:
                await client.send(before)
            await client.secure(context)
        except BaseException:
            client.close()
            raise
        return client

    async def secure(self, context: ssl.SSLContext, name: str = HOST) -> None:
        """Shakes hands. Raises ssl.SSLError, or ConnectionError when the other side goes away."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        await within(self._shake(secured), "a handshake")
        self.tls = secured

    async def _shake(self, secured: ssl.SSLObject) -> None:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._more():
                    raise ConnectionResetError("the connection ended in the handshake") from None
                continue
            await self._flush()
            return

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await super()._send(self._outgoing.read())

    async def _more(self) -> bool:
        """Gives TLS what the socket has for it; False at the end."""
        plain, self.buffer = self.buffer, bytearray()
        try:
            came = await super()._fill()
            self._incoming.write(bytes(self.buffer))
        finally:
            self.buffer = plain
        return came

    async def _send(self, data: bytes) -> None:
        if self.tls is None:
            await super()._send(data)
            return
        self.tls.write(data)
        await self._flush()

    async def _fill(self) -> bool:
        if self.tls is None:
            return await super()._fill()
        while True:
            try:
                data = self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                if not await self._more():
                    return False
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.ended_well = self.eof = True
                return False
            self.buffer += data
            return True
