"""Files of TLS: what is wrong with each is said, and of which."""

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.tls import MAX_FILE, VERSIONS, TlsError, load_authorities, load_certificate, words
from tests.support.certificates import Authority, authority, written

IDENTITY = authority().sign("api.test")
BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
OTHER_KIND = ed25519.Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
BROKEN_KEY = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def test_all_authorities_of_a_file_are_trusted_whatever_stands_between_them(tmp_path: Path) -> None:
    made = context()
    files = authority().certificate + "Žluťoučký authority:\n".encode() + Authority("Other").certificate
    load_authorities(made, written(tmp_path, ca=files), "ca.pem")
    assert made.cert_store_stats()["x509_ca"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the file 'ca.pem' cannot be read: no such file or directory"),
        (b"", "the file 'ca.pem' holds no certificate in PEM form"),
        (IDENTITY.key, "the file 'ca.pem' holds no certificate in PEM form"),
        (BROKEN, "the file 'ca.pem' holds a certificate that cannot be read"),
        (IDENTITY.certificate + BROKEN, "the file 'ca.pem' holds a certificate that cannot be read"),
        (
            IDENTITY.certificate * 2 + IDENTITY.certificate[:-9],
            "the file 'ca.pem' holds a certificate that cannot be read",
        ),
        (b"x" * (MAX_FILE + 1), "the file 'ca.pem' is larger than 4 MiB"),
    ],
)
def test_authorities_that_cannot_be_used(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        written(tmp_path, ca=content)
    with pytest.raises(TlsError) as raised:
        load_authorities(context(), tmp_path, "ca.pem")
    assert (str(raised.value), raised.value.option) == (message, "ca")


def test_a_certificate_and_its_key_may_stand_in_one_file_or_two(tmp_path: Path) -> None:
    chain = IDENTITY.certificate + authority().certificate
    written(tmp_path, both=IDENTITY.key + chain, certificate=chain, key=IDENTITY.key)
    load_certificate(context(), tmp_path, "both.pem", "both.pem")
    load_certificate(context(), tmp_path, "certificate.pem", "key.pem")


@pytest.mark.parametrize(
    ("certificate", "key", "option", "message"),
    [
        (b"", IDENTITY.key, "certificate", "the file 'c.pem' holds no certificate in PEM form"),
        (BROKEN, IDENTITY.key, "certificate", "the file 'c.pem' holds a certificate that cannot be read"),
        (IDENTITY.certificate, b"", "key", "the file 'k.pem' holds no private key in PEM form"),
        (IDENTITY.certificate, BROKEN_KEY, "key", "the private key in 'k.pem' cannot be read"),
        (
            IDENTITY.certificate,
            authority().sign("api.test").key,
            "key",
            "the key in 'k.pem' is not that of the certificate",
        ),
        (IDENTITY.certificate, OTHER_KIND, "key", "the key in 'k.pem' is not that of the certificate"),
        (
            IDENTITY.certificate,
            authority().sign("api.test", password=b"secret").key,
            "key",
            "the key in 'k.pem' is encrypted; key_passphrase opens it",
        ),
    ],
)
def test_a_certificate_that_cannot_be_used(
    certificate: bytes, key: bytes, option: str, message: str, tmp_path: Path
) -> None:
    written(tmp_path, c=certificate, k=key)
    with pytest.raises(TlsError) as raised:
        load_certificate(context(), tmp_path, "c.pem", "k.pem")
    assert (str(raised.value), raised.value.option) == (message, option)


def test_a_passphrase_opens_a_key_or_does_not(tmp_path: Path) -> None:
    identity = authority().sign("api.test", password=b"secret")
    written(tmp_path, c=identity.certificate, k=identity.key)
    load_certificate(context(), tmp_path, "c.pem", "k.pem", "secret")
    with pytest.raises(TlsError, match=r"does not open the key in 'k\.pem'") as raised:
        load_certificate(context(), tmp_path, "c.pem", "k.pem", "guess")
    assert raised.value.option == "key_passphrase"
    assert "guess" not in str(raised.value)


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, c=IDENTITY.certificate)
    with pytest.raises(TlsError, match=r"the file 'k\.pem' cannot be read: no such file") as raised:
        load_certificate(context(), tmp_path, "c.pem", "k.pem")
    assert raised.value.option == "key"


def test_what_openssl_says_is_put_into_words() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca (_ssl.c:2590)")
    error.reason = "TLSV1_ALERT_UNKNOWN_CA"
    assert words(error) == "tlsv1 alert unknown ca"
    unverified = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    unverified.verify_message = "Hostname mismatch, certificate is not valid for 'a'."
    assert words(unverified) == "Hostname mismatch, certificate is not valid for 'a'"


def test_no_version_is_older_than_1_2() -> None:
    assert min(VERSIONS.values()) == ssl.TLSVersion.TLSv1_2


def test_what_is_kept_counts_in_the_place_of_the_file(tmp_path: Path) -> None:
    other = Authority("Other")
    written(tmp_path, c=b"half", k=b"written", ca=other.certificate)
    kept = {"c.pem": IDENTITY.certificate, "k.pem": IDENTITY.key, "ca.pem": authority().certificate}
    made = context()
    load_certificate(made, tmp_path, "c.pem", "k.pem", kept=kept)
    load_authorities(made, tmp_path, "ca.pem", kept=kept)
    assert [certificate["subject"] for certificate in made.get_ca_certs()] == [
        ((("commonName", "Test Authority"),),)
    ]
    with pytest.raises(TlsError):
        load_certificate(context(), tmp_path, "c.pem", "k.pem", kept={"c.pem": IDENTITY.certificate})


def test_what_is_kept_is_written_to_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    seen: list[str] = []

    class Watched(ssl.SSLContext):
        def load_cert_chain(self, certfile: str, keyfile: str, password: object = None) -> None:  # type: ignore[override]
            seen.extend(os.readlink(path) for path in (certfile, keyfile))

    kept = {"c.pem": IDENTITY.certificate, "k.pem": IDENTITY.key}
    load_certificate(Watched(ssl.PROTOCOL_TLS_CLIENT), tmp_path, "c.pem", "k.pem", kept=kept)
    assert seen == ["/memfd:tls (deleted)"] * 2
    assert list(tmp_path.iterdir()) == []
