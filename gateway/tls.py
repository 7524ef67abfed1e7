"""The files of TLS: certificates, keys and authorities in PEM form (RFC 7468), put into a context.

What is wrong with a file is found when the configuration is loaded, and said with the option that names it: OpenSSL
itself says little more than "PEM lib", and asks for the password of a key on the terminal.
"""

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

MAX_FILE: Final = 4 << 20
"""Bytes of a file. The bundle of all public authorities has a quarter of a megabyte."""

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
"""Versions of the protocol that may be asked for; RFC 8996 retires those before."""
NOTHING: Final[Mapping[str, bytes]] = MappingProxyType({})
"""No file is kept: each is read where it is."""

_IN_MEMORY: Final = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_BEGIN_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")


class TlsError(ValueError):
    """A file that cannot be used; `option` is the key of the option that names it."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


class _Encrypted(Exception):  # noqa: N818 - it names what the key is
    """OpenSSL has asked for the password of a key."""


def load_authorities(
    context: ssl.SSLContext,
    directory: Path,
    name: str,
    *,
    option: str = "ca",
    kept: Mapping[str, bytes] = NOTHING,
) -> None:
    """Trusts the certificates in a file, relative to `directory`, and those that they sign. Raises TlsError.

    `kept` has contents that count in the place of those of the files that it names.
    """
    content = read(directory, name, option, kept=kept)
    try:
        context.load_verify_locations(cadata=_certificates(content, name, option))
    except ssl.SSLError:
        raise TlsError(option, f"the file {name!r} holds a certificate that cannot be read") from None


def load_certificate(
    context: ssl.SSLContext,
    directory: Path,
    certificate: str,
    key: str,
    passphrase: str | None = None,
    *,
    kept: Mapping[str, bytes] = NOTHING,
) -> None:
    """Presents the first certificate of a file, with the rest of its chain behind it. Raises TlsError.

    Both files are relative to `directory`, and may be one; `kept` as of `load_authorities`. `option` of the error is
    "certificate", "key" or "key_passphrase".
    """
    # By a context that is thrown away: it says of which of the two files OpenSSL speaks.
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_authorities(scratch, directory, certificate, option="certificate", kept=kept)
    if _KEY.search(read(directory, key, "key", kept=kept)) is None:
        raise TlsError("key", f"the file {key!r} holds no private key in PEM form")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        if passphrase is None:
            raise _Encrypted
        return passphrase

    try:
        with ExitStack() as opened:
            chain, secret = (
                opened.enter_context(_path(directory, name, kept)) for name in (certificate, key)
            )
            # A callback in any case: without one, OpenSSL would ask at the terminal.
            context.load_cert_chain(chain, secret, password=password)
    except _Encrypted:
        raise TlsError("key", f"the key in {key!r} is encrypted; key_passphrase opens it") from None
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            raise TlsError("key", f"the key in {key!r} is not that of the certificate") from None
        if asked:
            raise TlsError("key_passphrase", f"does not open the key in {key!r}") from None
        if error.reason is None:
            raise TlsError("key", f"the private key in {key!r} cannot be read") from None
        raise TlsError("certificate", f"OpenSSL refuses {certificate!r}: {words(error)}") from None
    except OSError as error:
        raise TlsError("certificate", f"the files cannot be read: {_plain(error)}") from None


def words(error: ssl.SSLError) -> str:
    """What OpenSSL says of a failure, as people write it; never text of the other side's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text: Any = error.verify_message
    else:
        text = (error.reason or "").replace("_", " ").lower()
    return str(text).rstrip(".") or "it cannot be told why"


def read(directory: Path, name: str, option: str, *, kept: Mapping[str, bytes] = NOTHING) -> bytes:
    """The content of a file that `option` names. Raises TlsError."""
    if name in kept:
        return kept[name]
    try:
        with (directory / name).open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise TlsError(option, f"the file {name!r} cannot be read: {_plain(error)}") from None
    if len(data) > MAX_FILE:
        raise TlsError(option, f"the file {name!r} is larger than {MAX_FILE >> 20} MiB")
    return data


@contextmanager
def _path(directory: Path, name: str, kept: Mapping[str, bytes]) -> Iterator[str]:
    """Where OpenSSL, which reads keys from files alone, finds one: what is kept is never written to a disk for it."""
    if name not in kept or not _IN_MEMORY:
        yield str(directory / name)
        return
    descriptor = os.memfd_create("tls")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(kept[name])
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _certificates(data: bytes, name: str, option: str) -> str:
    """The certificates of a file without the text between them, which need not be ASCII."""
    found = _CERTIFICATE.findall(data)
    if not found:
        raise TlsError(option, f"the file {name!r} holds no certificate in PEM form")
    if len(found) != data.count(_BEGIN_CERTIFICATE):
        raise TlsError(option, f"the file {name!r} holds a certificate that cannot be read")
    return b"\n".join(found).decode("ascii")


def _plain(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return reason[:1].lower() + reason[1:]
