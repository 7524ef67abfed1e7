"""What is known of a client by the certificate with which it has proven itself (RFC 5280)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate, as an authority that the listener trusts has issued it. Its texts are the authority's.

    subject      the whole name, as RFC 4514 writes it: "CN=compute-1,O=Example"
    common_name  None without one; the last, where there are several
    dns          subject alternative names that are host names
    uri          those that are URIs, such as spiffe://example.org/compute
    email        those that are e-mail addresses
    fingerprint  SHA-256 of the certificate, 64 hexadecimal digits
    expires_at   seconds since the epoch
    """

    subject: str
    common_name: str | None = None
    dns: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    fingerprint: str = ""
    expires_at: float = 0.0
