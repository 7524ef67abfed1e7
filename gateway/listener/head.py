"""From a parsed request head to an Exchange, or to the Problem that refuses it before any filter runs.

What is checked here leaves no room for two readings: version, Host, framing, target (RFC 9112 sections 2.3,
3.2, 6), loops (RFC 9110 section 7.6), expectations (10.1.1). It needs no more of the message than its four
plain parts, so it is tested without a parser.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from gateway.api.body import Body
from gateway.api.exchange import Exchange, Instant, Request
from gateway.http import host as host_rules
from gateway.http import target as target_rules
from gateway.http.fields import Fields, folded
from gateway.http.framing import PROTECTED, Problem, check_framing, connection_options
from gateway.http.via import hops
from gateway.listener.parser import VERSION_UNSUPPORTED
from gateway.plan import Plan, PlannedRoute
from gateway.record import Peer

HTTP_10: Final = (1, 0)
HTTP_11: Final = (1, 1)
VERSIONS: Final = {HTTP_10: "1.0", HTTP_11: "1.1"}


Opened = tuple[Exchange, PlannedRoute | None, tuple[str, ...] | None, bool, bool]
"""An exchange that may enter its chain: the exchange; its route, None for a 404 or 405; the methods of the template,
when it has routes but none for this method; whether the peer is a trusted proxy; whether the client waits for a 100
before it sends its body."""


def open_exchange(
    plan: Plan,
    peer: Peer,
    method: str,
    raw_target: bytes,
    version: tuple[int, int],
    fields: Fields,
    body: Body,
    request_id: str,
    clock: Instant,
) -> Opened | Problem:
    """Judges a head and makes its Exchange; `fields` are its own from here on."""
    http_version = VERSIONS.get(version)
    if http_version is None:
        return VERSION_UNSUPPORTED
    index = fields.index()

    if b"content-length" in index or b"transfer-encoding" in index:
        problem = check_framing(version, index)
        if problem is not None:
            return problem
    if method == "CONNECT" or method == "TRACE":
        return Problem(501, "method_unsupported", "The method is not supported.")

    host_value = index.get(b"host", b"")
    if isinstance(host_value, list) or (host_value and not host_rules.valid(host_value)):
        return _HOST_INVALID
    host = host_value.decode("latin-1")
    authority = sentence = None
    plain = target_rules.plain(raw_target)
    if plain is not None:
        path, query = plain
    else:
        try:
            target = target_rules.split(raw_target)
        except ValueError as error:
            return Problem(400, "target_ambiguous", str(error))
        if method == "OPTIONS" and target.authority is not None and _no_path(raw_target, target.authority):
            target = target_rules.ASTERISK._replace(authority=target.authority)
        raw_target, path, query, authority = target
        sentence = target_rules.ambiguity(target)
        if authority is not None:
            if not host_rules.valid(authority.encode("latin-1")):
                return _HOST_INVALID
            host = authority  # RFC 9112 section 3.2.2: it replaces the Host field
    if not host and version == HTTP_11:
        return _HOST_INVALID

    planned, params, _, allow = plan.router.match(host, path, method)
    if sentence is not None and (planned is None or not planned.lenient):
        return Problem(400, "target_ambiguous", sentence)

    via = index.get(b"via")
    if via is not None:
        members = via if isinstance(via, list) else (via,)
        if hops(members, plan.pseudonym) > plan.configuration.via.max_hops:
            return Problem(508, "loop_detected", "The request has passed this gateway before.")

    expects = False
    expect = index.get(b"expect")
    if expect is not None and version == HTTP_11:
        if isinstance(expect, list) or expect.lower() != b"100-continue":
            return Problem(417, "expectation_unknown", "The expectation cannot be met.")
        expects = True

    if plan.body_limit is not None and body.length is not None and body.length > plan.body_limit:
        return Problem(413, "request_too_large", "Request body is too large.")

    unwanted: AbstractSet[bytes] = (plan.chain if planned is None else planned.chain).unwanted
    connection = index.get(b"connection")
    if connection is not None and (connection not in _PLAIN or b"close" in index):
        # What Connection names stops here, before a filter could judge by it or set it (RFC 9110 7.6.1).
        unwanted = unwanted | (connection_options(connection) - PROTECTED)
    if not unwanted.isdisjoint(index):
        fields = Fields.over([line for line in fields.raw if folded[line[0]] not in unwanted])
    if authority is not None:
        fields.set("Host", host)

    client, scheme, trusted = plan.forwarding.origin(peer.address, peer.scheme, host, fields)
    exchange = Exchange(
        method,
        raw_target,
        path,
        query,
        scheme,
        host,
        peer.address,
        client,
        http_version,
        request_id,
        clock,
        Request(fields, body),
        planned.info if planned is not None else None,
        params,
    )
    if peer.certificate is not None:
        exchange.certificate = peer.certificate
    return exchange, planned, allow, trusted, expects


def _no_path(raw_target: bytes, authority: str) -> bool:
    """Whether an absolute form has an authority alone; to OPTIONS that means the server as a whole (RFC 9112 3.2.4)."""
    return raw_target.partition(b"//")[2] == authority.encode("latin-1")


_HOST_INVALID: Final = Problem(400, "host_invalid", "The Host field is not one valid host.")
_PLAIN: Final = (b"keep-alive", b"close", b"Keep-Alive", b"Close")
