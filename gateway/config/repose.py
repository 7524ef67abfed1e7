"""What of Repose there is here, by which name: a registry of its filters and services, and the page that is made of it.

Repose is described as of 9.1.0.5, and as of 6.2.1.2 where a name was another or is gone.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple


class Row(NamedTuple):
    """One of Repose's filters or services.

    name     as Repose's configuration has it; several where one has had several
    does     what it does
    ours     what does that here: a filter, an option of one as `filter.option`, or one of the gateway's own; empty for nothing
    example  an entry of `filters`, or some of the gateway's own options, in YAML on one line; empty for none
    differs  what is another, or why there is nothing here
    """

    name: str
    does: str
    ours: tuple[str, ...]
    example: str
    differs: str


FILTERS: Final[tuple[Row, ...]] = (
    Row(
        "rate-limiting",
        "Fixed windows per user, group, path and method; global limits; an endpoint that tells limits.",
        ("rate_limit", "rate_limit.limits[].uri", "rate_limit.endpoint"),
        "- rate_limit: { status: 413, retry_after: date, limits: "
        "[ { name: reads, rate: 100/minute, key: [user_id], methods: [GET], algorithm: fixed_window } ] }",
        "The default algorithm has no bursts at window ends. All limits that match are decided at once, and a refusal charges "
        "none. Retry-After is in seconds unless `retry_after: date`. Limits are exact over all workers without a "
        "datastore; Redis counts for many machines. Quotas of groups go by `groups`, in order of the file. Who has no X-PP-User is "
        "counted by his address; a `respond` with 401 before it refuses him, as Repose does. X-PP-User and X-PP-Groups of a node in "
        "front count where a `principal` before it has a source `repose`, and only from its `trusted_peers`. `endpoint` lists limits by their `uri`, "
        "Repose's own, and none that counts a group of its expression: there is a bucket for each text of it.",
    ),
    Row(
        "api-validator",
        "A WADL as a state machine: paths, methods, media types, parameters, bodies, roles.",
        ("api.description", "api.roles", "api.unchecked"),
        "",
        "`api: { description: compute.wadl }` reads it as it is, with JSON Schema beside it; `weir routes import` makes routes of it. The "
        "first that is wrong is answered, from the path to the schema. The most specific path counts; 404 for one that is only a prefix, "
        "where Repose says 405 with an empty Allow. What is not looked at (XSD beyond simple types, XPath, XSLT, extensions in Java) is told "
        "at the start and refused there, unless `unchecked: allow`; `weir migrate repose` says that only of what the validator's "
        "options had Repose leave alone too. What it looks at is no matter of options, and the query is part of it, so that requests may be "
        "refused which Repose let pass: `weir migrate repose` names the options, and `mode: shadow` the requests. Several validators by role are entries with `when`, whose roles are compared without "
        "regard to case; delegating is "
        "`mode: shadow` with `delegate`. A number in JSON that is beyond a double, such as an integer of 400 digits, is not valid: 400. "
        "Whatever the options, an empty segment of a path is 404, JSON deeper than `max_depth` (32) is 400, and so are a member that is named "
        "twice and a missing body where one is described; a body with a Content-Encoding is 415.",
    ),
    Row(
        "openapi-validator",
        "An OpenAPI document as a check of requests.",
        ("api.description",),
        "",
        "`api: { description: compute.yaml }`, OpenAPI 3.0 and 3.1. The schema comes last, as in Repose, but a media type before "
        "roles and parameters. Accept is not judged: no 406. A document of Swagger 2.0 is to be converted first. JSON deeper than `max_depth` "
        "(32), a member that is named twice, a Content-Encoding and an empty segment of a path are refused, as by api-validator.",
    ),
    Row(
        "keystone-v2",
        "Validates X-Auth-Token by Identity v2.0, and tells the upstream who is calling.",
        ("token_auth.providers[].keystone_v2", "token_auth.headers"),
        '- token_auth: { headers: repose, providers: [ { keystone_v2: { url: "https://identity.example.com/v2.0" } } ] }',
        "Fields of identity that a client sends are stripped before anything else. The challenge goes with our own 401s, "
        "and with the upstream's only where it has none. No atom feed: tokens are revoked on the admin listener, or "
        "remembered for 5 seconds (`cache.ttl`), as often as Repose looks at a feed. A "
        "white list is `when: { not: { path: ... } }`. Of two in one chain both ask, and the caller is whom the last one has found. A tenant "
        "that a regular expression reads is in a path of 2,048 characters at most; a longer one is 403.",
    ),
    Row(
        "keystone-v2-authorization",
        "Tenant and endpoint authorization by what keystone-v2 has found.",
        ("token_auth.providers[].keystone_v2.tenant", "rbac.project_param"),
        "- rbac: { project_param: project_id, rows: [ { path: '/v2/{project_id}/{rest*}', roles: any } ], default: allow }",
        "403 for a foreign tenant, where Repose says 401. Of several expressions for the tenant, and of those of two filters, each that "
        "matches must name one and the same (`rbac` beside `token_auth`). No check of endpoints in the "
        "catalog: who may use a service is said by roles.",
    ),
    Row(
        "openstack-identity-v3",
        "The same by Identity v3.",
        ("token_auth.providers[].keystone", "token_auth.headers", "rbac.project_param"),
        '- token_auth: { headers: repose, providers: [ { keystone: { url: "http://127.0.0.1:5000/v3", '
        "account: { user: gateway, password: secret, project_name: service } } } ] }",
        "Reads X-Auth-Token, as OpenStack's clients send it; `header: X-Subject-Token` reads that. Each token asks for its "
        "user's groups itself, and where they cannot be had the answer is 503 (`groups`). An account without a project has "
        "`scope: none`. An upstream's 401 or 403 stays what it is.",
    ),
    Row(
        "keystone-v2-basic-auth",
        "Takes a token for a name and a password.",
        ("token_auth.providers[].basic",),
        '- token_auth: { providers: [ { basic: { url: "http://127.0.0.1:5000/v3", project_name: demo } } ] }',
        "Asks Identity v3. Wrong passwords are counted, and beyond a number of them answered 429.",
    ),
    Row(
        "simple-rbac",
        "A table of paths, methods and roles.",
        ("rbac",),
        "- rbac: { rows: [ { path: '/v2/{project_id}/servers', methods: [GET], roles: [reader, member] } ] }",
        "What no row has is 403 where Repose says 404; `mask: 404` says 404 for all. `ALL` methods are all, not four. Case of "
        "roles is ignored.",
    ),
    Row(
        "regex-rbac",
        "The same with regular expressions; every row that matches must be satisfied.",
        ("rbac.rows[].regex", "rbac.match"),
        "- rbac: { match: all, rows: [ { regex: '/v2/[^/]+/servers', roles: [member] } ] }",
        "405 has Allow. Expressions that could run for long are refused when the configuration is read.",
    ),
    Row(
        "header-normalization",
        "Removes header fields by a white or a black list.",
        ("headers.request.keep_only", "headers.request.remove", "headers.response"),
        "- headers: { when: { path: '/v2/{rest*}' }, request: { remove: [X-Internal] }, response: { keep_only: [Content-Type] } }",
        "A target's `uri-regex` and `http-methods` are `when`. Fields that frame a message are never removed. Fields of "
        "identity need no black list: a client's own never get past the filter that sets them.",
    ),
    Row(
        "header-translation",
        "Copies or renames header fields.",
        (
            "headers.request.rename",
            "headers.request.copy",
            "headers.request.split",
            "headers.request.quality",
        ),
        "- headers: { request: { remove: [X-New], rename: { X-Old: X-New }, quality: { X-New: 0.5 } } }",
        "`overwrite-target` is `remove` of the new name, which also takes it where the old one is absent: a client cannot set it. "
        "All rules go by the names that arrived, so that none is renamed twice.",
    ),
    Row(
        "add-header",
        "Adds or replaces static header fields.",
        ("headers.request.add", "headers.request.set", "headers.response.add"),
        "- headers: { request: { set: { X-Region: north } }, response: { add: { X-Served-By: weir } } }",
        "`overwrite` is `set`. A quality is written in the value.",
    ),
    Row(
        "merge-header / split-header",
        "Joins the lines of a field, or makes a line of each member of a list.",
        ("headers.request.merge", "headers.request.split"),
        "- headers: { request: { split: [X-Roles] }, response: { merge: [Cache-Control] } }",
        "A comma in quotes parts nothing. Set-Cookie cannot be merged.",
    ),
    Row(
        "ip-user / ip-identity",
        "Makes a user of the client's address, and a group of its network.",
        ("principal.sources[].ip",),
        "- principal: { headers: repose, sources: [ { ip: { others: true, groups: [ { name: office, networks: [192.0.2.0/24] } ] } } ] }",
        "The address is the one that `trusted_proxies` vouch for; Repose takes the first of X-Forwarded-For from anybody. One "
        "that cannot be read is not believed, where Repose answers 400.",
    ),
    Row(
        "header-user / header-identity",
        "Makes a user of a header field.",
        ("principal.sources[].header",),
        "- principal: { sources: [ { header: { name: X-Remote-User, trusted_peers: [10.0.0.0/8] } } ] }",
        "Only from peers that are trusted with it, and of nobody else does the upstream see the field. A second line is refused. "
        "X-PP-User of a gateway in front is the source `repose`, whose groups are those of X-PP-Groups.",
    ),
    Row(
        "uri-user / uri-identity",
        "Makes a user of a part of the path.",
        ("principal.sources[].path",),
        "- principal: { sources: [ { path: { regex: '/v1/([^/]+)/.*' } } ] }",
        "The expression is for the whole path; a parameter of the route may stand for it.",
    ),
    Row(
        "url-extractor-to-header",
        "Puts parts of the path into header fields.",
        ("extract.fields[].path", "extract.fields[].param", "extract.fields[].query"),
        "- extract: { fields: [ { header: X-Tenant-Id, path: '/v2/([^/]+)/.*', default: none } ] }",
        "The expression is for the whole path, where Repose searches. What is found is percent-decoded once. A client's own "
        "field is stripped, where Repose adds to it.",
    ),
    Row(
        "body-extractor-to-header",
        "Puts a part of a JSON body into a header field.",
        ("extract.fields[].json",),
        "- extract: { fields: [ { header: X-Flavor, json: '$.server.flavorRef', default_null: none } ] }",
        "Of JSONPath there are names, numbers, `[*]` and `..name`. The first value counts. A body has a limit: 413.",
    ),
    Row(
        "body-patcher",
        "Patches JSON bodies by RFC 6902.",
        ("json_patch",),
        "- json_patch: { when: { path: '/v2/{rest*}' }, request: [ { op: remove, path: /server/debug } ] }",
        "400 for a request that an operation does not fit, 502 for such an answer, and only answers 2xx are patched; 500 in Repose.",
    ),
    Row(
        "uri-normalization",
        "A white list of query parameters, their order, and suffixes of paths as Accept.",
        ("query", "rewrite.suffixes", "rewrite.preferred"),
        "- query: { allow: [ limit, { name: marker, max: 1 } ], sort: true }",
        "What goes on is sent byte for byte: `%20` stays `%20`. `others: refuse` answers 400 instead. A suffix counts in the "
        "last segment only. Filters judge by what was received.",
    ),
    Row(
        "uri-stripper",
        "Takes a segment out of the path, and puts it back into Location and links.",
        ("rewrite.drop_segment", "rewrite.location"),
        "- rewrite: { drop_segment: 1, location_hosts: ['compute.internal:8774'] }",
        "Location is turned back where it is about the client's host or `location_hosts`, never a foreign one. Links in bodies are "
        "not rewritten: where services write them by the Host field, mount them at the prefix.",
    ),
    Row(
        "cors",
        "Cross-origin requests: preflights, and who may read answers.",
        ("cors",),
        "- cors: { origins: ['https://app.example.com'], credentials: true, expose: ['*'] }",
        "Origins are compared whole, by text or by an expression for all of it: in Repose `https://good.com` also admits "
        "`https://good.com.evil.com`. `credentials` is off by default. A preflight is answered 204, and 403 is as in Repose. "
        "Methods are the same for all paths of an entry: `when` tells them apart.",
    ),
    Row(
        "compression",
        "Decompresses requests and compresses answers.",
        ("compression",),
        "- compression: { request: { max_size: 1MiB }, response: { min_size: 1KiB, codings: [gzip] } }",
        "What is decoded has a limit: 413 beyond, where Repose has none. A coding that is not known is 415 in place of passing "
        "unread. Accept-Encoding goes on to the upstream, whose own coding stays.",
    ),
    Row(
        "content-type-stripper",
        "Takes Content-Type from requests without a body.",
        ("content_type.strip_without_body",),
        "- content_type: { strip_without_body: true }",
        "A body is none by its length; Repose looks whether its first eight bytes are blank.",
    ),
    Row(
        "iri-validator",
        "Refuses paths that are no IRI: 400.",
        ("routes[].target",),
        "",
        "Every route is `target: strict` unless it says otherwise: 400 for what RFC 3986 does not allow, and for what two "
        "readers could read in two ways. Escapes that are no UTF-8 pass.",
    ),
    Row(
        "forwarded-proto",
        "Adds X-Forwarded-Proto.",
        ("forwarded",),
        "forwarded: both",
        "On by default, and true: Repose says HTTP under TLS too. A client's own is replaced unless its proxy is trusted.",
    ),
    Row(
        "slf4j-http-logging",
        "An access log in Apache's format.",
        ("log.copies",),
        'log: { copies: [ { path: access.log, format: "%h %t %r %s %b %D" } ] }',
        "The request log itself is JSON, and says what each filter decided. The copy never holds credentials.",
    ),
    Row(
        "herp",
        "An audit event for each call, by a template.",
        ("log",),
        "",
        "Deprecated in Repose. Every record says who called, what was decided and why; `weir logs query` finds them.",
    ),
    Row(
        "derp",
        "Answers what filters before have delegated.",
        ("delegated", "filters[].delegate"),
        "- delegated: {}",
        "The first of equal qualities is the answer. X-Delegated of a client is stripped. Filters delegate by `mode: shadow` with "
        "`delegate: 0.3`: a shadow whose refusal is told. What else it would have changed of the request is not; `token_auth` with "
        "`delay_auth_decision` and `headers: repose` does both.",
    ),
    Row(
        "tenant-culling",
        "Leaves of the tenants only those whose roles have granted access.",
        ("token_auth.repose.all_tenants",),
        "",
        "Not needed: unless `all_tenants` is set, the upstream is told the one tenant that the request names or the token is for, "
        "and `rbac` judges by the roles of that.",
    ),
    Row(
        "destination-router",
        "Chooses the upstream of a request.",
        ("routes[].upstream",),
        "",
        "A route names its upstream, by host, path and method. There is no choice by quality among filters: where several have a path, `weir migrate repose` writes the route of the one that decided.",
    ),
    Row(
        "versioning",
        "Lists versions of an API, and routes by them.",
        ("routes[].path", "respond"),
        "- respond: { when: { path: / }, status: 300, content_type: application/json, body: '{\"versions\": []}' }",
        "Version discovery is the API's own; routes send /v2 and /v3 to their upstreams, and `respond` can say a fixed list. "
        "Versions in Accept are not looked at.",
    ),
    Row(
        "translation",
        "XSLT on bodies, header fields and queries.",
        ("json_patch", "headers", "query"),
        "",
        "There is no XSLT: JSON is patched, and for the rest a filter of your own is a few lines of Python.",
    ),
    Row(
        "scripting",
        "A script in Groovy, JavaScript or Python as a filter.",
        (),
        "",
        "A filter of your own is a Python class in a package with an entry point of the group `gateway.filters`; it is "
        "checked, tested and recorded as those that are built in.",
    ),
    Row(
        "valkyrie-authorization",
        "Permissions of Rackspace's devices.",
        ("external_auth",),
        '- external_auth: { url: "http://127.0.0.1:9000/verify" }',
        "A private service of Rackspace. What can be used elsewhere is the question to a service of yours. Collections in "
        "answers are not culled.",
    ),
    Row(
        "echo",
        "Answers 200 with the header fields of the request.",
        ("respond.echo",),
        "- respond: { echo: ['*'] }",
        "Credentials are never echoed. It answers with any status, fields and body.",
    ),
    Row(
        "exception, servlet-contract, tightly-coupled",
        "Fixtures of Repose's own tests.",
        (),
        "",
        "Not for operators.",
    ),
)

OLDER: Final[tuple[Row, ...]] = (
    Row(
        "client-auth",
        "Validates tokens; keystone-v2 since 7.1.",
        ("token_auth.providers[].keystone_v2",),
        "",
        "As keystone-v2. `delegable` is `delay_auth_decision` with `headers: repose`. 403 for a foreign tenant.",
    ),
    Row(
        "client-authorization",
        "Looks for the service's endpoint in the catalog.",
        ("rbac",),
        "",
        "As keystone-v2-authorization: who may use a service is said by roles.",
    ),
    Row(
        "header-id-mapping",
        "Maps two header fields to user and group.",
        ("principal.sources[].header", "headers.request.rename"),
        "- headers: { request: { remove: [X-PP-User, X-PP-Groups], rename: { X-Remote-User: X-PP-User, X-Remote-Group: X-PP-Groups } } }",
        "`principal` also tells limits and roles who it is; its group is fixed. What is renamed tells the upstream alone, so that a "
        "rate-limiting behind it is not moved. Of several mappings the first with a value counts in Repose; `rename` has one.",
    ),
    Row(
        "content-identity-auth-2.0 / content-identity-auth-1.1",
        "Takes a user's name from the body of a request for a token.",
        ("extract.fields[].json",),
        "- extract: { fields: [ { header: X-PP-User, json: '$.auth.passwordCredentials.username', quality: 0.8 } ] }",
        "JSON only. It tells the upstream, and makes no principal: what anybody can write proves nothing.",
    ),
    Row(
        "rackspace-auth-user",
        "The same for Rackspace's bodies.",
        ("extract.fields[].json",),
        "",
        "As above; a private bundle since 9.0.",
    ),
    Row(
        "rackspace-identity-basic-auth",
        "Takes a token for a name and an API key.",
        ("token_auth.providers[].basic",),
        "",
        "As keystone-v2-basic-auth, with passwords.",
    ),
    Row(
        "content-normalization",
        "Lists of header fields, and media types.",
        ("headers.request.keep_only", "headers.request.remove", "rewrite.suffixes"),
        "",
        "As header-normalization and uri-normalization.",
    ),
    Row(
        "service-authentication",
        "Adds credentials of the gateway to requests.",
        ("headers.request.set",),
        "- headers: { request: { set: { Authorization: 'Basic Z2F0ZXdheTpzZWNyZXQ=' } } }",
        "Write the value as `${NAME}` to keep it out of the file. The upstream's 403 and 501 stay what they are.",
    ),
    Row(
        "default-router",
        "Routes what no filter has routed.",
        ("routes[].path",),
        "",
        "A route with the path `/{rest*}`.",
    ),
    Row(
        "flush-output",
        "Flushes the answer.",
        (),
        "",
        "Answers are streamed.",
    ),
    Row(
        "saml-policy-translation, attribute-mapping-policy-validation",
        "SAML at Rackspace Identity.",
        (),
        "",
        "A private bundle since 9.0.",
    ),
)

SERVICES: Final[tuple[Row, ...]] = (
    Row(
        "system-model",
        "Nodes, the chain of filters, destinations.",
        ("listen", "filters", "upstreams", "routes"),
        "",
        "One file says all. Host is kept unless `upstreams.NAME.host` says otherwise; Content-Length stays what it was, and "
        "nothing is made chunked. A path that should pass no filter has a route and `when`. `root-path` of an endpoint is "
        "`rewrite.add_prefix`. `url-encode-headers` has no equal: values of fields go on as they came.",
    ),
    Row(
        "container",
        "Limits, timeouts, TLS and Via of the process.",
        ("limits", "timeouts", "listen[].tls", "via", "body_size"),
        "via: { pseudonym: gateway, comment: false }",
        "`content-body-read-limit` is `limits.body` for a known length, and `body_size` for any.",
    ),
    Row(
        "http-client",
        "Pools of connections to upstreams.",
        ("upstreams.NAME.max_connections", "upstreams.NAME.timeouts", "upstreams.NAME.keepalive"),
        "",
        "Beside it: retries, health, circuit breakers, several endpoints.",
    ),
    Row(
        "datastores",
        "Local, distributed and remote stores of counts.",
        ("rate_limit.store",),
        "",
        "Workers share counts in memory. Redis or Valkey counts for many machines; what happens while it is away is said "
        "by an option, where Repose silently counts N times.",
    ),
    Row(
        "http-logging",
        "A message for each exchange, by a template.",
        ("log", "log.copies"),
        "log: { copies: [ { path: ecs.log, format: ecs } ] }",
        "JSON as the request log has it, by ECS, or by Apache's codes.",
    ),
    Row(
        "response-messaging",
        "Bodies for statuses.",
        ("messages",),
        "- messages: { messages: [ { status: [413], bodies: { application/json: "
        '\'{"overLimit": {"code": 413, "retryAfter": "%{retry_at}"}}\' } } ] }',
        "Rarely needed: refusals have the compute API's body, or that of `faults`. Values are escaped as the media type needs it. A "
        "status is a number or a row of them, not an expression.",
    ),
    Row(
        "health-check",
        "Answers every request 503 while something is reported.",
        ("admin",),
        "",
        "A configuration that is wrong is never put in force. `/healthz` and `/readyz` on the admin listener tell balancers.",
    ),
    Row(
        "metrics",
        "JMX and Graphite.",
        ("admin",),
        "",
        "Prometheus, on the admin listener.",
    ),
    Row(
        "open-tracing",
        "Jaeger's traces.",
        ("tracing",),
        "",
        "`traceparent` of W3C in place of `uber-trace-id`, by OpenTelemetry.",
    ),
    Row(
        "uri-redaction",
        "Keeps parts of paths out of logs and traces.",
        ("log.redact.params", "log.redact.query"),
        "log: { redact: { params: [project_id], query: [email] } }",
        "By names of path parameters and of keys in the query, not by expressions for paths. Tokens and passwords are left out "
        "without being named.",
    ),
    Row(
        "atom-feed-service",
        "Hears of tokens that are no longer valid.",
        ("token_auth.cache.ttl", "token_auth.providers[].keystone.revocation_events"),
        "",
        "No Atom feed: Keystone's own list of revocations, or the admin listener.",
    ),
    Row("phone-home", "Tells its makers of its use.", (), "", "Nothing is told to anybody."),
    Row("logging", "Log4j.", ("log",), "", "The application log goes to standard error, as JSON or text."),
)

_OPENING: Final = """\
# From Repose

<!-- Generated by `weir reference --repose`. Do not edit. -->

What Repose's filters and services are called here, and what is another. The options are described in
[the reference](../config/REFERENCE.md). Where Repose's configuration has a `uri-regex` and `http-methods` for a part of a filter,
an entry here has `when`; a filter may be there many times.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [_OPENING]
    for title, rows in (
        ("Filters", FILTERS),
        ("Filters of older versions", OLDER),
        ("Services", SERVICES),
    ):
        parts.append(f"\n## {title}\n\n| Repose | Weir | Differences |\n|---|---|---|\n")
        parts += _lines(rows)
    return "".join(parts)


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        ours = ", ".join(f"`{name}`" for name in row.ours) or "none"
        if row.example:
            ours += f"<br>{_code(row.example)}"
        yield f"| **{row.name}**<br>{row.does} | {ours} | {_cell(row.differs)} |\n"


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
