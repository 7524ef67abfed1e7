"""The files of TLS: certificates, keys and authorities in PEM form (RFC 7468), put into a context.

What is wrong with a file is found when the configuration is loaded, and said with the option that names it: OpenSSL
itself says little more than "PEM lib", and asks for the password of a key on the terminal.
"""

import re
import ssl
from pathlib import Path
from typing import Any, Final

MAX_FILE: Final = 4 << 20
"""Bytes of a file. The bundle of all public authorities has a quarter of a megabyte."""

VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
"""Versions of the protocol that may be asked for; RFC 8996 retires those before."""

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


def load_authorities(context: ssl.SSLContext, directory: Path, name: str, *, option: str = "ca") -> None:
    """Trusts the certificates in a file, relative to `directory`, and those that they sign. Raises TlsError."""
    try:
        context.load_verify_locations(cadata=_certificates(_content(directory, name, option), name, option))
    except ssl.SSLError:
        raise TlsError(option, f"the file {name!r} holds a certificate that cannot be read") from None


def load_certificate(
    context: ssl.SSLContext, directory: Path, certificate: str, key: str, passphrase: str | None = None
) -> None:
    """Presents the first certificate of a file, with the rest of its chain behind it. Raises TlsError.

    Both files are relative to `directory`, and may be one. `option` of the error is "certificate", "key" or
    "key_passphrase".
    """
    # By a context that is thrown away: it says of which of the two files OpenSSL speaks.
    load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), directory, certificate, option="certificate")
    if _KEY.search(_content(directory, key, "key")) is None:
        raise TlsError("key", f"the file {key!r} holds no private key in PEM form")
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        if passphrase is None:
            raise _Encrypted
        return passphrase

    try:
        # A callback in any case: without one, OpenSSL would ask at the terminal.
        context.load_cert_chain(directory / certificate, directory / key, password=password)
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


def _content(directory: Path, name: str, option: str) -> bytes:
    try:
        with (directory / name).open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise TlsError(option, f"the file {name!r} cannot be read: {_plain(error)}") from None
    if len(data) > MAX_FILE:
        raise TlsError(option, f"the file {name!r} is larger than {MAX_FILE >> 20} MiB")
    return data


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
