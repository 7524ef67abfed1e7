"""Certificates made on the spot: an authority, and whom it vouches for."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HOST = "gateway.test"

_HOUR = timedelta(hours=1)


class Pair(NamedTuple):
    """The files of a certificate and of its key."""

    certificate: Path
    key: Path

    @property
    def options(self) -> dict[str, str]:
        """As a listener's `tls` names them."""
        return {"certificate": str(self.certificate), "key": str(self.key)}


def name(common_name: str | None, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    parts = [x509.NameAttribute(oid, value) for oid, value in more]
    if common_name is not None:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


def pem(key: Any, passphrase: str | None = None) -> bytes:
    """A private key in PEM form."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase.encode())
    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return data


class Authority:
    """Issues certificates into `directory`; its own is `file`."""

    def __init__(self, directory: Path, common_name: str = "Test Authority") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name(common_name)
        self.file = directory / f"{common_name.lower().replace(' ', '-')}.pem"
        certificate = self._signed(
            self._name, self._key.public_key(), (-_HOUR, 24 * _HOUR), x509.BasicConstraints(True, None)
        )
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def _signed(
        self,
        subject: x509.Name,
        public: Any,
        life: tuple[timedelta, timedelta],
        *extensions: x509.ExtensionType,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + life[0])
            .not_valid_after(now + life[1])
        )
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())

    def issue(
        self,
        common_name: str | None = HOST,
        *,
        file: str | None = None,
        subject: Sequence[tuple[x509.ObjectIdentifier, str]] = (),
        others: Sequence[x509.GeneralName] | None = None,
        life: tuple[timedelta, timedelta] = (-_HOUR, 24 * _HOUR),
        key: Any = None,
        passphrase: str | None = None,
    ) -> Pair:
        """A certificate and its key, in files named by `file`, or by the common name; `life` is counted from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        if others is None:
            others = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        extensions = [x509.SubjectAlternativeName(others)] if others else []
        certificate = self._signed(name(common_name, *subject), key.public_key(), life, *extensions)
        stem = file or common_name or "nameless"
        pair = Pair(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        pair.key.write_bytes(pem(key, passphrase))
        return pair
