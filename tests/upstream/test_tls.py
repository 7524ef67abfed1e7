"""What an upstream's context holds; that it is kept to is shown on the wire."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import Upstream
from gateway.tls import TlsError
from gateway.upstream.tls import client_context
from tests.support.certificates import authority, written


def context(directory: Path, endpoint: str = "https://api.test", **tls: Any) -> ssl.SSLContext | None:
    options = {"endpoints": [endpoint], **({"tls": tls} if tls else {})}
    return client_context(Upstream.model_validate(options), directory)


def test_only_an_upstream_with_https_endpoints_has_one(tmp_path: Path) -> None:
    assert context(tmp_path, "http://api.test") is None
    assert context(tmp_path, "unix:///run/api.sock") is None
    assert context(tmp_path) is not None


def test_certificates_are_verified_and_old_versions_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    made = context(tmp_path)
    assert made is not None
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not made.options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert made.keylog_filename is None
    made = context(tmp_path, minimum="1.3")
    assert made is not None and made.minimum_version == ssl.TLSVersion.TLSv1_3


def test_the_authorities_of_the_file_take_the_place_of_the_systems(tmp_path: Path) -> None:
    written(tmp_path, ca=authority().certificate)
    made = context(tmp_path, ca="ca.pem")
    assert made is not None
    assert [certificate["subject"] for certificate in made.get_ca_certs()] == [
        ((("commonName", "Test Authority"),),)
    ]
    assert made.cert_store_stats()["x509"] == 1


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"ca": "none.pem"}, "ca"),
        ({"certificate": "none.pem", "key": "key.pem"}, "certificate"),
        ({"certificate": "certificate.pem", "key": "none.pem"}, "key"),
        ({"certificate": "certificate.pem", "key": "ca.pem"}, "key"),
    ],
)
def test_the_option_whose_file_is_wrong_is_named(
    options: dict[str, str], option: str, tmp_path: Path
) -> None:
    ours = authority().sign("gateway.test")
    written(tmp_path, ca=authority().certificate, certificate=ours.certificate, key=ours.key)
    with pytest.raises(TlsError) as raised:
        context(tmp_path, **options)
    assert raised.value.option == option
