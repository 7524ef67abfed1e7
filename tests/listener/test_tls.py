"""Certificates and keys of a listener: what is wrong with them is told where it is written. By sockets: tests/wire/."""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Certificate
from gateway.config.load import Loaded, loads
from gateway.config.model import ListenTLS
from gateway.config.problem import ConfigurationError
from gateway.listener.tls import Credentials, described, load_credentials, subject
from gateway.registry import Registry
from gateway.tls import TlsError
from tests.support.authority import Authority
from tests.support.gateway import configuration

HOUR = timedelta(hours=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def loaded(directory: Path, **tls: Any) -> Loaded:
    listen = [{"address": "127.0.0.1:0", "tls": tls}]
    return loads(
        configuration("http://127.0.0.1:1", listen=listen),
        "gateway.yaml",
        registry=Registry(),
        directory=directory,
    )


def made(directory: Path, **tls: Any) -> Credentials:
    (credentials,) = load_credentials(loaded(directory, **tls))
    assert credentials is not None
    return credentials


def complaint(directory: Path, **tls: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        made(directory, **tls)
    (problem,) = caught.value.problems
    option = problem.key.rpartition(".")[2]
    text = configuration("http://127.0.0.1:1", listen=[{"address": "127.0.0.1:0", "tls": tls}])
    wanted = next((line for line in text.splitlines() if line.strip().startswith(f"{option}:")), None)
    if wanted is not None:
        assert text.splitlines()[problem.line - 1] == wanted
    return f"{problem.key}: {problem.message}"


# ---- good ones


@pytest.mark.parametrize("kind", ["ec", "rsa", "one file", "encrypted", "traditional"])
def test_every_usual_form_is_taken(authority: Authority, tmp_path: Path, kind: str) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    pair = authority.issue("a", key=key, passphrase="open" if kind == "encrypted" else None)
    options: dict[str, Any] = {"certificate": "a.pem", "key": "a.key"}
    if kind == "one file":
        pair.certificate.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
        options = {"certificate": "a.pem"}
    elif kind == "encrypted":
        options["key_passphrase"] = "open"
    elif kind == "traditional":
        old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        pair.key.write_bytes(
            b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n" + old
        )
    context = made(tmp_path, **options).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_ciphers_have_forward_secrecy_and_authenticate(authority: Authority, tmp_path: Path) -> None:
    authority.issue("a")
    context = made(tmp_path, certificate="a.pem", key="a.key").context
    ciphers = context.get_ciphers()
    assert {cipher["name"].partition("_")[0].partition("-")[0] for cipher in ciphers} == {"TLS", "ECDHE"}
    assert all(cipher["aead"] for cipher in ciphers)
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION


def test_a_client_may_be_asked_for_a_certificate(authority: Authority, tmp_path: Path) -> None:
    authority.issue("a")
    options = {"certificate": "a.pem", "key": "a.key", "client_ca": "test-authority.pem"}
    assert made(tmp_path, **options).context.verify_mode == ssl.CERT_REQUIRED
    optional = made(tmp_path, **options, client_certificate="optional")
    assert optional.context.verify_mode == ssl.CERT_OPTIONAL
    assert len(optional.context.get_ca_certs()) == 1


def test_an_entry_in_the_clear_has_none(tmp_path: Path) -> None:
    text = configuration("http://127.0.0.1:1", listen=["127.0.0.1:0", "unix:weir.sock"])
    assert load_credentials(loads(text, "gateway.yaml", registry=Registry())) == [None, None]


@pytest.mark.parametrize(
    ("life", "event"),
    [
        ((-2 * HOUR, -HOUR), "certificate_expired"),
        ((HOUR, 2 * HOUR), "certificate_not_valid_yet"),
        ((-HOUR, HOUR), None),
    ],
)
def test_a_certificate_out_of_its_time_is_warned_of(
    authority: Authority, tmp_path: Path, life: tuple[timedelta, timedelta], event: str | None
) -> None:
    authority.issue("a", life=life)
    with structlog.testing.capture_logs() as logs:
        credentials = made(tmp_path, certificate="a.pem", key="a.key")
        assert logs == []  # whoever only checks a configuration is not told
        credentials.check_dates()
    assert [line["event"] for line in logs] == ([event] if event else [])
    assert all(line["certificate"] == "a.pem" and line["log_level"] == "warning" for line in logs)


# ---- bad ones


def test_what_is_missing_is_named(authority: Authority, tmp_path: Path) -> None:
    authority.issue("a")
    key = "listen[0].tls"
    absent = "cannot be read: no such file or directory"
    told = complaint(tmp_path, certificate="no.pem", key="a.key")
    assert told == f"{key}.certificate: the file 'no.pem' {absent}"
    assert complaint(tmp_path, certificate="a.pem", key="no.key") == f"{key}.key: the file 'no.key' {absent}"
    told = complaint(tmp_path, certificate="a.pem", key="a.key", client_ca="no.pem")
    assert told == f"{key}.client_ca: the file 'no.pem' {absent}"
    assert complaint(tmp_path, certificate="/", key="a.key").endswith("cannot be read: is a directory")


def test_what_is_something_else_is_named(authority: Authority, tmp_path: Path) -> None:
    authority.issue("a")
    authority.issue("b")
    (tmp_path / "text").write_text("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n")
    (tmp_path / "empty").write_text("")
    key = "listen[0].tls"
    told = complaint(tmp_path, certificate="text", key="a.key")
    assert told == f"{key}.certificate: the file 'text' holds a certificate that cannot be read"
    for bad in ("empty", "a.key"):
        told = complaint(tmp_path, certificate=bad, key="a.key")
        assert told == f"{key}.certificate: the file {bad!r} holds no certificate in PEM form"
    for bad in ("text", "empty", "a.pem"):
        told = complaint(tmp_path, certificate="a.pem", key=bad)
        assert told == f"{key}.key: the file {bad!r} holds no private key in PEM form"
    told = complaint(tmp_path, certificate="a.pem", key="b.key")
    assert told == f"{key}.key: the key in 'b.key' is not that of the certificate"
    told = complaint(tmp_path, certificate="a.pem")
    assert told == f"{key}.certificate: the file 'a.pem' holds no private key in PEM form"
    told = complaint(tmp_path, certificate="a.pem", key="a.key", client_ca="a.key")
    assert told == f"{key}.client_ca: the file 'a.key' holds no certificate in PEM form"
    told = complaint(tmp_path, certificate="a.pem", key="a.key", ciphers="NONE-SUCH")
    assert told == f"{key}.ciphers: the list has no cipher that is known"


def test_a_passphrase_opens_the_key_or_does_not_and_is_never_shown(
    authority: Authority, tmp_path: Path
) -> None:
    authority.issue("a", passphrase="open sesame")
    options = {"certificate": "a.pem", "key": "a.key"}
    assert complaint(tmp_path, **options).endswith(" is encrypted; key_passphrase opens it")
    told = complaint(tmp_path, **options, key_passphrase="close sesame")
    assert told == "listen[0].tls.key_passphrase: does not open the key in 'a.key'"
    (tmp_path / "pass").write_text("open sesame\n")
    credentials = made(tmp_path, **options, key_passphrase="file:pass")
    assert "sesame" not in repr(credentials.tls)


def test_a_key_that_openssl_refuses_is_no_traceback(authority: Authority, tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    authority.issue("a", key=weak)
    told = complaint(tmp_path, certificate="a.pem", key="a.key")
    assert told == "listen[0].tls.certificate: OpenSSL refuses 'a.pem': ee key too small"


def test_an_entry_that_stands_alone_is_found_where_it_is_written(tmp_path: Path) -> None:
    text = yaml.safe_dump({"listen": {"address": "127.0.0.1:0", "tls": {"certificate": "no.pem"}}})
    text += 'upstreams: {a: {endpoints: ["http://a:1"]}}\nroutes: [{name: r, path: /, upstream: a}]\n'
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(loads(text, "gateway.yaml", registry=Registry(), directory=tmp_path))
    assert str(caught.value).startswith("gateway.yaml:4:5: listen.tls.certificate: ")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    listen = [{"address": "127.0.0.1:0", "tls": {"certificate": name}} for name in ("a.pem", "b.pem")]
    text = configuration("http://127.0.0.1:1", listen=listen)
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(loads(text, "gateway.yaml", registry=Registry(), directory=tmp_path))
    assert [problem.key for problem in caught.value.problems] == [
        "listen[0].tls.certificate",
        "listen[1].tls.certificate",
    ]


# ---- renewal


async def test_nothing_is_looked_at_twice_that_has_not_changed(authority: Authority, tmp_path: Path) -> None:
    authority.issue("a")
    credentials = Credentials(ListenTLS(certificate="a.pem", key="a.key"), tmp_path)
    assert not credentials.changed
    (tmp_path / "a.key").unlink()
    assert credentials.changed
    context = credentials.context
    for failures in (0, 1):  # what is no good is looked at once more before it is told
        assert credentials.changed
        await credentials.renew()
        assert credentials.failures == failures
    assert not credentials.changed
    assert credentials.context is context
    authority.issue("a")
    await credentials.renew()
    assert (credentials.renewals, credentials.failures) == (1, 1)
    assert credentials.context is not context


async def test_files_that_are_no_good_now_leave_those_that_were(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("a")
    options = ListenTLS(certificate="a.pem", key="a.key")
    kept = dict(Credentials(options, tmp_path).files)
    assert kept == {"a.pem": pair.certificate.read_bytes(), "a.key": pair.key.read_bytes()}
    pair.key.write_bytes(pair.key.read_bytes()[:99])
    with structlog.testing.capture_logs() as logs:
        credentials = Credentials(options, tmp_path, kept)
    assert [(line["event"], line["option"]) for line in logs] == [("certificate_unusable", "key")]
    assert credentials.files == kept
    assert credentials.changed  # it is looked at again in any case
    authority.issue("a")
    await credentials.renew()
    assert credentials.files == {"a.pem": pair.certificate.read_bytes(), "a.key": pair.key.read_bytes()}
    with pytest.raises(TlsError, match="cannot be read"):
        Credentials(options, tmp_path / "absent", {**kept, "a.key": b""})


def test_files_that_are_never_looked_at_are_those_that_were_kept(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("a")
    options = ListenTLS(certificate="a.pem", key="a.key", reload=0)
    kept = dict(Credentials(options, tmp_path).files)
    authority.issue("a")
    assert Credentials(options, tmp_path, kept).files == kept != {"a.key": pair.key.read_bytes()}


# ---- what a client's certificate says


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        ([[("commonName", "a")]], "CN=a"),
        ([[("organizationName", "Ex, Inc.")], [("commonName", "a")]], "CN=a,O=Ex\\, Inc."),
        ([[("commonName", "a"), ("userId", "u")]], "CN=a+UID=u"),
        ([[("commonName", " a ")]], "CN=\\ a\\ "),
        ([[("commonName", " ")]], "CN=\\ "),
        ([[("commonName", '#a\0"<>;\\+')]], 'CN=\\#a\\00\\"\\<\\>\\;\\\\\\+'),
        ([[("emailAddress", "a@b")]], "emailAddress=a@b"),
    ],
)
def test_a_subject_is_written_as_rfc_4514_has_it(names: Any, text: str) -> None:
    assert subject(names) == text


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
    )
)
def test_no_value_can_be_taken_for_another_part(values: list[str]) -> None:
    written = subject([[("commonName", value)] for value in values])
    read = x509.Name.from_rfc4514_string(written)
    assert [attribute.value for attribute in read] == values


def test_names_are_taken_by_their_kind() -> None:
    told = {
        "subject": ((("commonName", "first"),), (("commonName", "last"),)),
        "subjectAltName": (
            ("DNS", "a.test"),
            ("IP Address", "192.0.2.1"),
            ("URI", "spiffe://a"),
            ("email", "a@b.test"),
            ("DNS", "b.test"),
        ),
        "notAfter": "Nov 14 22:13:20 2023 GMT",
    }
    assert described(told, "f" * 64) == Certificate(
        "CN=last,CN=first",
        "last",
        ("a.test", "b.test"),
        ("spiffe://a",),
        ("a@b.test",),
        "f" * 64,
        1_700_000_000.0,
    )


def test_a_certificate_without_a_name_has_none_and_one_without_an_end_has_ended() -> None:
    assert described({"subject": ()}, "0" * 64) == Certificate("", fingerprint="0" * 64)
