"""The registry of reason codes: one stable lower-snake word for every way an exchange can end.

Codes are part of the public contract: records, metrics and tests name them. A code is never reused for
another meaning.
"""

from typing import Final

REASONS: Final[dict[str, str]] = {
    # The core, before the chain.
    "malformed_request": "The request could not be parsed as HTTP/1.1.",
    "version_unsupported": "The request line names a protocol or version other than HTTP/1.0 and HTTP/1.1.",
    "host_invalid": "The Host field is missing, repeated or not a host.",
    "framing_invalid": "Content-Length or Transfer-Encoding do not delimit the body in one certain way.",
    "target_ambiguous": "The request target could be read as two different paths.",
    "target_too_long": "The request target is longer than the limit.",
    "headers_too_large": "There are more header fields, or longer ones, than the limits allow.",
    "request_too_large": "Content-Length is beyond the limit for every request.",
    "method_unknown": "The method is not one that the gateway knows.",
    "method_unsupported": "CONNECT and TRACE are refused.",
    "expectation_unknown": "The Expect field asks for something other than 100-continue.",
    "loop_detected": "The request has passed this gateway before.",
    "header_timeout": "The head of the request did not arrive in time.",
    "body_timeout": "The body of the request stopped arriving.",
    "client_disconnected": "The client went away before the answer was complete.",
    "client_stalled": "The client stopped reading the answer.",
    "max_forwards_reached": "Max-Forwards was 0 and the gateway answered for itself.",
    "gateway_stopped": "The gateway stopped before the exchange was over.",
    # Tunnels.
    "tunnel_client_closed": "The client ended the tunnel, or was the first to say that it sends no more.",
    "tunnel_upstream_closed": "The upstream ended the tunnel, or was the first to say that it sends no more.",
    "tunnel_idle_timeout": "Nothing moved in the tunnel, either way, for too long.",
    # The router and the chain.
    "route_not_found": "No route has this host and path.",
    "method_not_routed": "The path has routes, but none for this method.",
    "filter_failed": "A filter raised an exception; the application log has the traceback.",
    "passed": "Every filter passed the exchange.",
    "answered": "A filter answered by itself.",
    "condition_false": "The entry's condition did not hold, so the filter was skipped.",
    "undecided": "A shadow filter did not reach a verdict within its time budget.",
    # The upstream leg.
    "upstream_unavailable": "No endpoint of the upstream is well enough to take the request.",
    "upstream_circuit_open": "Too many requests have failed: the upstream's circuit breaker lets none through.",
    "upstream_pool_exhausted": "Every connection that the upstream may have is in use, and none became free in time.",
    "upstream_connect_failed": "No connection to the upstream could be made.",
    "upstream_connect_timeout": "The connection to the upstream was not made in time.",
    "upstream_resolve_failed": "No address of the upstream's name is known.",
    "upstream_tls_unverified": "The upstream's certificate is not one that is trusted for its name.",
    "upstream_tls_failed": "The upstream and the gateway could not agree to speak TLS.",
    "upstream_tls_timeout": "The TLS handshake with the upstream was not over in time.",
    "upstream_first_byte_timeout": "The upstream did not begin to answer in time.",
    "upstream_idle_timeout": "The upstream stopped in the middle of its answer.",
    "upstream_total_timeout": "The exchange took longer than its total time.",
    "upstream_response_invalid": "The upstream's answer is not a valid HTTP/1.1 response.",
    "upstream_closed": "The upstream closed the connection before its answer was complete.",
    "response_too_large": "The upstream's answer is larger than a filter may hold.",
    # Filters.
    "token_missing": "The request carries no token.",
    "token_invalid": "No provider accepts the token.",
    "token_expired": "The token has expired.",
    "token_ambiguous": "The request carries more than one token.",
    "token_optional": "The token is missing or invalid, and the filter is optional.",
    "token_accepted": "A provider vouches for the token.",
    "certificate_accepted": "A provider vouches for the client's certificate.",
    "certificate_expired": "The client's certificate has expired since it connected.",
    "certificate_unknown": "The request carries no token, and no provider accepts the client's certificate.",
    "provider_unavailable": "The provider that could judge the token cannot be reached.",
    "rate_limited": "A limit's allowance is used up.",
    "rate_counted": "The request was counted against every matching limit.",
    "method_not_allowed": "The method is not among those allowed here.",
    "body_too_large": "The request body is larger than allowed here.",
    "uuid_invalid": "A path parameter is not a UUID in canonical form.",
    "content_type_unsupported": "The media type of the request body is not among those allowed here.",
    "json_invalid": "The request body is not valid JSON.",
    "json_too_deep": "The request body nests deeper than allowed.",
    "json_duplicate_key": "An object in the request body names a key twice.",
    "metadata_invalid": "The request body breaks a rule for metadata.",
    "address_denied": "The client's address is not among those allowed.",
}
