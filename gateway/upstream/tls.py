"""The gateway's side of TLS towards an upstream (RFC 8446), whose certificate is always verified (RFC 9110 section 4.3.4).

There is no switch to turn that off: a certificate that no public authority has signed is trusted by naming it, or its
authority, in `ca`, and one for another name by `server_name`.
"""

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.api.network import TlsOptions
from gateway.config.model import Upstream, UpstreamTls
from gateway.tls import NOTHING, VERSIONS, TlsError, load_authorities, load_certificate, read


def client_context(
    upstream: Upstream, directory: Path, kept: Mapping[str, bytes] = NOTHING
) -> ssl.SSLContext | None:
    """The context of an upstream with https endpoints, None for another.

    Files are relative to `directory`, or `kept`. Raises TlsError, which names the option under `tls`.
    """
    if not any(server.url.scheme == "https" for server in upstream.servers):
        return None
    options = upstream.tls or UpstreamTls()
    return verified_context(options, directory, VERSIONS[options.minimum], kept=kept)


def verified_context(
    options: TlsOptions,
    directory: Path,
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    *,
    protocols: Sequence[str] = ("http/1.1",),
    kept: Mapping[str, bytes] = NOTHING,
) -> ssl.SSLContext:
    """The context of a client with these options, which speaks one of `protocols` (RFC 7301). Raises TlsError."""
    # Not `ssl.create_default_context`: it writes keys to a file that a variable of the environment names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = minimum
    # An end without close_notify is an error, and never taken for the end of an answer (RFC 9112 section 9.8).
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if options.ca is None:
        context.load_default_certs()
    else:
        # What the operator names is trusted as it is, be it an authority's or the upstream's own.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        load_authorities(context, directory, options.ca, kept=kept)
    if options.certificate is not None:
        passphrase = options.key_passphrase.reveal() if options.key_passphrase is not None else None
        key = options.key or options.certificate
        load_certificate(context, directory, options.certificate, key, passphrase, kept=kept)
    return context


def contents(upstream: Upstream, directory: Path, kept: Mapping[str, bytes] = NOTHING) -> str:
    """What changes when one of the files that `tls` names has other contents: SHA-256, hexadecimal."""
    options = upstream.tls or UpstreamTls()
    found = hashlib.sha256()
    for file in (options.ca, options.certificate, options.key):
        if file is not None:
            with suppress(TlsError):  # it was there when the context was made
                found.update(hashlib.sha256(read(directory, file, "tls", kept=kept)).digest())
    return found.hexdigest()
