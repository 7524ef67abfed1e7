"""TLS of a listener: its certificate and key, renewed while it runs, and what a client's certificate says.

Defaults follow RFC 9325: TLS 1.2 and later, forward secrecy and authenticated encryption only, no compression and no
renegotiation; HTTP/1.1 is the one protocol offered (RFC 7301).
"""

import asyncio
import hashlib
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from gateway.api.certificate import Certificate
from gateway.config.load import Loaded
from gateway.config.model import ListenTLS
from gateway.config.problem import ConfigurationError, Problem, written
from gateway.tls import NOTHING, VERSIONS, TlsError, load_authorities, load_certificate, read

_FILES: Final = ("certificate", "key", "client_ca")

_Stamp = tuple[tuple[int, int, int] | None, ...]


class _Made(NamedTuple):
    """A context, what it was made of, and what there is to say of its certificate; times are seconds since the epoch."""

    context: ssl.SSLContext
    files: Mapping[str, bytes]
    begins_at: float
    expires_at: float


class Credentials:
    """With what a listener proves itself to clients, and whom of them it believes.

    context     for the next connection
    files       contents of the files that it was made of, by their names
    expires_at  when the certificate ends, in seconds since the epoch
    renewals    how often changed files have been taken into use
    failures    how often changed files were no good, so that the former stayed in use
    """

    def __init__(self, tls: ListenTLS, directory: Path, kept: Mapping[str, bytes] = NOTHING) -> None:
        """`kept` has contents of the files that were good, for the case that they are no good now. Raises TlsError."""
        self.tls = tls
        self.renewals = 0
        self.failures = 0
        self._directory = directory
        self._log = structlog.get_logger("gateway").bind(certificate=tls.certificate)
        self._seen = self._stamp()
        self._doubtful = False
        try:
            self._use(_make(tls, directory, NOTHING if tls.reload else kept))
        except TlsError as unusable:
            try:
                self._use(_make(tls, directory, kept))
            except TlsError:
                raise unusable from None
            self._doubtful = True
            self._log.error("certificate_unusable", option=unusable.option, error=str(unusable))

    def _use(self, made: _Made) -> None:
        self.context, self.files, self._begins_at, self.expires_at = made

    def check_dates(self) -> None:
        """Warns of a certificate that no client will believe now."""
        now = time.time()
        if self.expires_at <= now:
            self._log.warning("certificate_expired", expired=_written(self.expires_at))
        elif self._begins_at > now:
            self._log.warning("certificate_not_valid_yet", begins=_written(self._begins_at))

    def _stamp(self) -> _Stamp:
        """What changes when a file does: cheap enough to be asked every few seconds."""
        stamp: list[tuple[int, int, int] | None] = []
        for option in _FILES:
            file = getattr(self.tls, option)
            found = None
            if file is not None:
                with suppress(OSError):
                    told = os.stat(self._directory / file)
                    found = (told.st_mtime_ns, told.st_ino, told.st_size)
            stamp.append(found)
        return tuple(stamp)

    @property
    def changed(self) -> bool:
        """Whether the files are not those that were looked at last, or must be looked at once more."""
        return self._doubtful or self._stamp() != self._seen

    async def renew(self) -> None:
        """Takes the files as they are now into use; where they are no good, the former stay in use.

        The files of a pair are seldom replaced at one instant, so that only what is no good twice is told.
        """
        seen = self._stamp()
        try:
            made = await asyncio.to_thread(_make, self.tls, self._directory)
        except TlsError as unusable:
            if seen == self._seen:
                self.failures += 1
                self._log.error("certificate_unusable", option=unusable.option, error=str(unusable))
            self._doubtful = seen != self._seen
            self._seen = seen
            return
        self._doubtful = False
        self._seen = seen
        self.renewals += 1
        self._log.info("certificate_renewed", expires=_written(made.expires_at))
        self._use(made)
        self.check_dates()


def load_credentials(loaded: Loaded) -> list[Credentials | None]:
    """Those of each `listen` entry, None where it speaks plain HTTP. Raises ConfigurationError with all problems."""
    made: list[Credentials | None] = []
    problems: list[Problem] = []
    for place, listen in enumerate(loaded.configuration.listen):
        credentials = None
        if listen.tls is not None:
            try:
                credentials = Credentials(listen.tls, loaded.directory, loaded.tls_files)
            except TlsError as unusable:
                problems.append(_problem(loaded, place, unusable))
        made.append(credentials)
    if problems:
        raise ConfigurationError(problems)
    return made


def _problem(loaded: Loaded, place: int, unusable: TlsError) -> Problem:
    option, tls = unusable.option, loaded.configuration.listen[place].tls
    if option == "key" and tls is not None and tls.key is None:
        option = "certificate"  # whose file is to hold the key
    path: tuple[str | int, ...] = ("listen", place, "tls", option)
    if path[:2] not in loaded.marks:  # one that stands for a list of one
        path = ("listen", "tls", option)
    return Problem(*loaded.marks.position(path), "tls", str(unusable), written(path))


def _make(tls: ListenTLS, directory: Path, kept: Mapping[str, bytes] = NOTHING) -> _Made:
    """A context of the files as they are, or are kept. Raises TlsError."""
    # Each is read once: what is told of them, and kept, is what is in the context.
    files: dict[str, bytes] = {}
    for option in _FILES:
        name = getattr(tls, option)
        if name is not None and name not in files:
            files[name] = read(directory, name, option, kept=kept)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[tls.minimum]
    # All ciphers are good ones: what is cheapest for the client's machine is the client's to say.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.set_ciphers(tls.ciphers)
    except ssl.SSLError:
        raise TlsError("ciphers", "the list has no cipher that is known") from None
    passphrase = tls.key_passphrase.reveal() if tls.key_passphrase is not None else None
    load_certificate(context, directory, tls.certificate, tls.key or tls.certificate, passphrase, kept=files)
    if tls.client_ca is not None:
        load_authorities(context, directory, tls.client_ca, option="client_ca", kept=files)
        context.verify_mode = ssl.CERT_REQUIRED if tls.client_certificate == "require" else ssl.CERT_OPTIONAL
    return _Made(context, files, *_life(tls.certificate, files[tls.certificate]))


def _life(name: str, content: bytes) -> tuple[float, float]:
    """When the first certificate of a file begins and ends to count, in seconds since the epoch. Raises TlsError."""
    from cryptography import x509  # a tenth of a second: only those pay for it who have certificates

    try:
        first = x509.load_pem_x509_certificate(content)
    except ValueError:  # more is wrong with it than OpenSSL minds
        raise TlsError("certificate", f"the file {name!r} holds a certificate that cannot be read") from None
    return first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


# ---- what a client's certificate says

_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
_SPECIAL: Final = frozenset('"+,;<>\\')


def client_certificate(connection: ssl.SSLObject) -> Certificate | None:
    """What the certificate says by which the client of a finished handshake is known; None when it came without."""
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        return None
    fingerprint = hashlib.sha256(encoded).hexdigest()
    try:
        told = connection.getpeercert()
    except (ValueError, ssl.SSLError):  # an authority has put bytes into a name that are no text
        return Certificate("", fingerprint=fingerprint)
    if not told:  # nobody has verified it
        return None
    return described(told, fingerprint)


def described(told: dict[str, Any], fingerprint: str) -> Certificate:
    """The certificate that the standard library has read into a dictionary."""
    names: Sequence[Sequence[tuple[str, str]]] = told.get("subject", ())
    common = [value for part in names for name, value in part if name == "commonName"]
    others: Sequence[tuple[str, str]] = told.get("subjectAltName", ())
    try:
        expires_at = float(ssl.cert_time_to_seconds(told["notAfter"]))
    except (KeyError, ValueError):
        expires_at = 0.0
    return Certificate(
        subject(names),
        common[-1] if common else None,
        tuple(value for kind, value in others if kind == "DNS"),
        tuple(value for kind, value in others if kind == "URI"),
        tuple(value for kind, value in others if kind == "email"),
        fingerprint,
        expires_at,
    )


def subject(names: Sequence[Sequence[tuple[str, str]]]) -> str:
    """A distinguished name as RFC 4514 writes it: the last part first."""
    return ",".join(
        "+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in part)
        for part in reversed(names)
    )


def _escaped(value: str) -> str:
    """RFC 4514 section 2.4."""
    text = "".join(
        f"\\{character}" if character in _SPECIAL else "\\00" if character == "\0" else character
        for character in value
    )
    if text[:1] in (" ", "#"):
        text = "\\" + text
    if text.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return text
