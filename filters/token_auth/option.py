"""The options of `token_auth`, and what is wrong with them before a key or a file is read."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from filters._identity import SERVICE_HEADER, STORAGE_HEADER, STRIPPED
from filters._profile import ProfileName
from filters._repose import ReposeOptions
from gateway.api import Duration, Fact, Options, Secret, StoreOptions, TlsOptions
from gateway.api.fact import CERTIFICATE, CLIENT, CLOCK, METHOD, PARAMS, TARGET, header
from gateway.api.regex import check_path, compile_path

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

AlgorithmName = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "HS256",
    "HS384",
    "HS512",
]
PublicAlgorithmName = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("not a header field name")
    if value.lower().encode("ascii") in STRIPPED:
        raise ValueError("this field is set for the upstream, a client's own is stripped")
    return value


def _path_prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value) or not {".", ".."}.isdisjoint(value.split("/")):
        raise ValueError("expected the beginning of a path, such as /compute, in unreserved characters")
    return value


def _instant(value: Any) -> Any:
    """Seconds since the epoch of a number, or of an ISO 8601 date and time with a zone."""
    if isinstance(value, bool):
        raise ValueError("expected a time, not true or false")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                "expected a time such as 2030-12-31T23:59:59Z, or seconds since the epoch"
            ) from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("the time has no zone; add Z for UTC")
        return value.timestamp()
    return value


def _header_value(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("expected text without outer white space")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character cannot travel in a header field")
    return value


def _realm(value: str) -> str:
    if not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
        raise ValueError("expected printable ASCII without quotes and backslashes")
    return value


def _role(value: str) -> str:
    if "," in value:
        raise ValueError("a comma separates roles in X-Roles, so a role cannot hold one")
    return _header_value(value)


def _digest(value: Secret) -> Secret:
    if not _SHA256.fullmatch(value.reveal()):
        raise ValueError("expected 64 hexadecimal digits")
    return value


def _token(value: Secret) -> Secret:
    text = value.reveal()
    if not text.isascii() or not text or text != text.strip() or not text.isprintable():
        raise ValueError("a token is printable ASCII without outer white space")
    return value


def _shared_key(value: Secret) -> Secret:
    if len(value.reveal()) < 32:
        raise ValueError("expected 32 characters or more, such as `openssl rand -hex 32` gives")
    return value


def _defaults(value: Any) -> Any:
    """A provider that is written without options has those by default."""
    return {} if value is None else value


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _key_source(value: Any) -> Any:
    """A path stays text; an inline key, which may be a shared secret, becomes one."""
    if isinstance(value, dict):
        return Secret(json.dumps(value))
    if isinstance(value, str) and value.lstrip().startswith(("{", "-----BEGIN")):
        return Secret(value)
    return value


def _identity_url(value: str) -> str:
    value = value.rstrip("/")
    parts = urlsplit(_url(value))
    try:
        wrong = not parts.hostname or parts.port == 0 or parts.username is not None
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment or not parts.path.endswith("/v3"):
        raise ValueError("expected the URL of the v3 API, such as http://127.0.0.1:5000/v3")
    return value


def service_url(value: str) -> str:
    """An http or https URL that can be asked as it is; it may have a query."""
    parts = urlsplit(_url(value))
    try:
        wrong = not parts.hostname or parts.port == 0 or parts.username is not None
    except ValueError:
        wrong = True
    if wrong or parts.fragment:
        raise ValueError("expected the URL of a server, without a user or a fragment")
    return value


def _issuer_url(value: str) -> str:
    if "?" in service_url(value):
        raise ValueError("an issuer's URL has no query")
    return value


def _identity_v2_url(value: str) -> str:
    value = value.rstrip("/")
    parts = urlsplit(_url(value))
    try:
        wrong = not parts.hostname or parts.port == 0 or parts.username is not None
    except ValueError:
        wrong = True
    if wrong or parts.query or parts.fragment or not parts.path.endswith("/v2.0"):
        raise ValueError("expected the URL of the v2.0 API, such as https://identity.example.com/v2.0")
    return value


def _expression(value: str) -> str:
    if compile_path(check_path(value)).groups != 1:
        raise ValueError("expected one group, the tenant's id, as in /v1/([^/]+)/.*")
    return value


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[!#-\[\]-~]+", value):
        raise ValueError("expected an http or https URL")
    return value


Instant = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False),  # no clock ever reaches NaN: the token would have no end
    BeforeValidator(_instant),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "format": "date-time"}]}),
]
Text = Annotated[str, AfterValidator(_header_value)]
Role = Annotated[str, AfterValidator(_role)]
PathPrefix = Annotated[str, AfterValidator(_path_prefix)]
KeySource = Annotated[
    str | Secret,
    BeforeValidator(_key_source),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]


def _exactly_one(*names: str) -> Callable[[Any], Any]:
    def check(model: Any) -> Any:
        if sum(getattr(model, name) is not None for name in names) != 1:
            raise ValueError(f"expected exactly one of {', '.join(names)}")
        return model

    return check


class StaticToken(Options):
    """One token and the caller it stands for."""

    token: Annotated[Secret, AfterValidator(_token)] | None = Field(
        default=None, description="The token itself."
    )
    token_sha256: Annotated[Secret, AfterValidator(_digest)] | None = Field(
        default=None,
        description="SHA-256 of the token in hexadecimal, where the token must not stand in the file.",
    )
    user: Text | None = Field(default=None, description="The user's name.")
    user_id: Text | None = Field(default=None, description="The user's id.")
    project_id: Text | None = Field(default=None, description="The project's id.")
    project_name: Text | None = Field(default=None, description="The project's name.")
    roles: tuple[Role, ...] = Field(
        default=(), description="Names of the roles that the user holds in the project."
    )
    expires: Instant | None = Field(
        default=None,
        description="When the token stops being valid: ISO 8601 with a zone, or seconds since the epoch.",
    )

    _one_form = model_validator(mode="after")(_exactly_one("token", "token_sha256"))

    @model_validator(mode="after")
    def _is_somebody(self) -> "StaticToken":
        if self.user is None and self.user_id is None:
            raise ValueError("expected user_id or user: a token stands for somebody")
        return self


class StaticOptions(Options):
    """Tokens written down: for tests, for machines, for a first try."""

    tokens: tuple[StaticToken, ...] | None = Field(default=None, description="The tokens, inline.")
    file: str | None = Field(
        default=None, description="A YAML file with the same list, read when the configuration is loaded."
    )

    _one_form = model_validator(mode="after")(_exactly_one("tokens", "file"))


class KeyOptions(Options):
    """A key, or a set of keys, and the algorithms that it may verify."""

    pem: KeySource | None = Field(
        default=None,
        description="A public key or certificate in PEM form: the path of a file, or the text itself.",
    )
    jwk: KeySource | None = Field(
        default=None, description="One JSON Web Key: the path of a file, or the key itself."
    )
    jwks: KeySource | None = Field(
        default=None,
        description="A JSON Web Key Set: the path of a file, or the set itself. "
        "Members that cannot verify with the algorithms are skipped.",
    )
    algorithms: tuple[AlgorithmName, ...] = Field(
        min_length=1,
        description="The only algorithms that this key verifies; a token that names another is refused.",
    )

    _one_form = model_validator(mode="after")(_exactly_one("pem", "jwk", "jwks"))


class ClaimOptions(Options):
    """Which claim tells what. A name with dots finds a nested claim, unless a claim has that very name."""

    user_id: str = Field(
        default="sub", min_length=1, description="The user's id; a token without it is refused."
    )
    user: str | None = Field(
        default=None, min_length=1, description="The user's name, e.g. preferred_username."
    )
    user_domain_id: str | None = Field(default=None, min_length=1, description="The id of the user's domain.")
    user_domain_name: str | None = Field(
        default=None, min_length=1, description="The name of the user's domain."
    )
    project_id: str | None = Field(
        default="project_id",
        min_length=1,
        description="The project's id; openstack_project_id in Keystone's JWS tokens.",
    )
    project_name: str | None = Field(default=None, min_length=1, description="The project's name.")
    project_domain_id: str | None = Field(
        default=None, min_length=1, description="The id of the project's domain."
    )
    project_domain_name: str | None = Field(
        default=None, min_length=1, description="The name of the project's domain."
    )
    roles: str | None = Field(
        default="roles",
        min_length=1,
        description="The roles: a list of names, or one text of names parted by spaces. E.g. realm_access.roles.",
    )


class FetchOptions(Options):
    """How keys are fetched from the issuer, and how long they are trusted."""

    period: Duration = Field(
        default=600.0,
        ge=1.0,
        le=86400.0,
        description="How often they are fetched anew, whether or not there are requests.",
    )
    cooldown: Duration = Field(
        default=30.0,
        ge=0.1,
        le=3600.0,
        description="How long after the last attempt to fetch them, whatever it was for, a token that no known key is for may have "
        "them fetched again; until then it is refused, or answered 503 where that attempt has failed. An attempt that has failed "
        "is repeated after as long in any case; while there are no keys at all, after 1 s, 2 s, 4 s and so on, up to this.",
    )
    stale_for: Duration = Field(
        default=86400.0,
        description="How long after `period` keys are still trusted while they cannot be fetched. A key that the issuer has "
        "taken back meanwhile is trusted as well.",
    )
    timeout: Duration = Field(
        default=5.0, ge=0.1, le=60.0, description="How long the issuer has for an answer."
    )
    tls: TlsOptions | None = Field(default=None, description="For https: whom to trust, and as whom.")


class JwtOptions(Options):
    """Signed tokens (RFC 7519), verified here with keys that are at hand or fetched from the issuer."""

    keys: Annotated[tuple[KeyOptions, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="The keys that are trusted. A token's kid chooses among them and never adds one.",
    )
    jwks_url: Annotated[str, AfterValidator(service_url)] | None = Field(
        default=None,
        description="Or where the issuer publishes its keys, a JSON Web Key Set. Whoever can answer in its place can make "
        "tokens: https, but for a server on the same machine.",
    )
    issuer_url: Annotated[str, AfterValidator(_issuer_url)] | None = Field(
        default=None,
        description="Or the issuer, an OpenID provider: its `/.well-known/openid-configuration` says where the keys are. "
        "It must name the issuer as `issuer` does, or else as this URL is written.",
    )
    algorithms: Annotated[tuple[PublicAlgorithmName, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="The only algorithms that fetched keys verify; a token that names another is refused.",
    )
    fetch: FetchOptions = Field(
        default=FetchOptions(), description="How keys are fetched, and how long they are trusted."
    )
    issuer: str | None = Field(
        default=None,
        min_length=1,
        description="What iss must be; unset, `issuer_url` where that is set, and else iss is not looked at.",
    )
    audience: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = Field(
        default=(),
        description="Names of this service, one of which aud must hold. Unset, a token that has an aud is refused, "
        "because it is meant for somebody else (RFC 7519 section 4.1.3).",
    )
    leeway: Duration = Field(
        default=10.0,
        le=300.0,
        description="How far the issuer's clock may differ when exp, nbf and iat are judged.",
    )
    claims: ClaimOptions = Field(
        default=ClaimOptions(), description="Which claim tells what of the user, project and roles."
    )

    _one_source = model_validator(mode="after")(_exactly_one("keys", "jwks_url", "issuer_url"))

    @model_validator(mode="after")
    def _fetched_or_not(self) -> "JwtOptions":
        if self.keys is not None:
            if self.algorithms is not None:
                raise ValueError("algorithms is for keys that are fetched; each of keys has its own")
            if "fetch" in self.model_fields_set:
                raise ValueError("fetch is for jwks_url and issuer_url")
        elif self.algorithms is None:
            raise ValueError("expected algorithms: a fetched key verifies with those alone")
        elif self.fetch.tls is not None and not (self.jwks_url or self.issuer_url or "").startswith("https:"):
            raise ValueError("fetch.tls is for an https URL")
        return self


class MtlsOptions(Options):
    """Clients that prove by a certificate who they are; the listener's `tls.client_ca` says whose are believed."""

    user: Literal["subject", "subject_cn", "san_dns", "san_email", "san_uri"] = Field(
        default="subject_cn",
        description="Which name of the certificate is the user's name and id: the common name of its subject, the "
        "whole `subject` as RFC 4514 writes it, or a subject alternative name of a kind.",
    )
    allow: Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="The names that are known here, `*` standing for any characters; for others the next provider "
        "is asked. Unset, every name that `client_ca` has given.",
    )
    roles: tuple[Role, ...] = Field(default=(), description="Names of the roles that they hold.")
    project_id: Text | None = Field(default=None, description="Their project's id.")
    project_name: Text | None = Field(default=None, description="Their project's name.")


class AccountOptions(Options):
    """The gateway's own user, in a project where it has the role `service`, or of a token without a scope."""

    user: Text | None = Field(default=None, description="The user's name.")
    user_id: Text | None = Field(default=None, description="The user's id, in place of the name.")
    user_domain_id: Text = Field(default="default", description="The id of the domain that the name is of.")
    user_domain_name: Text | None = Field(default=None, description="The domain's name, in place of its id.")
    password: Secret = Field(
        description="The password; `file:PATH` or `${VARIABLE}` keep it out of this file."
    )
    project_name: Text | None = Field(default=None, description="The project's name.")
    project_id: Text | None = Field(default=None, description="The project's id, in place of the name.")
    project_domain_id: Text = Field(
        default="default", description="The id of the domain that the project's name is of."
    )
    project_domain_name: Text | None = Field(
        default=None, description="The domain's name, in place of its id."
    )
    scope: Literal["project", "none"] = Field(
        default="project",
        description="What its token is for: the project that is named; or `none`, which names none, so that Keystone takes the "
        "user's default project, and else gives a token for nothing.",
    )

    _one_user = model_validator(mode="after")(_exactly_one("user", "user_id"))

    @model_validator(mode="after")
    def _one_project(self) -> "AccountOptions":
        if self.scope == "project":
            _exactly_one("project_name", "project_id")(self)
        elif self.project_name is not None or self.project_id is not None:
            raise ValueError("scope: none has no project")
        return self


class ApplicationCredentialOptions(Options):
    """An application credential of the gateway's own user."""

    id: Text = Field(description="Its id.")
    secret: Secret = Field(description="Its secret; `file:PATH` or `${VARIABLE}` keep it out of this file.")


class BreakerOptions(Options):
    """When a service is left alone."""

    failures: int = Field(
        default=5,
        ge=1,
        description="After how many failures in a row, of different tokens (two at least, unless nobody listens). A token that "
        "alone fails so often is itself left alone, and keeps nobody else out. Not counted is what a token may have brought "
        "about by its size or form: answers 4xx but 429, or that are too large; and of one with more than 2 KiB, 5xx, what is no "
        "HTTP and connections that the service closes.",
    )
    pause: Duration = Field(
        default=10.0,
        ge=0.1,
        le=600.0,
        description="For how long; then one token is asked about, and what comes of it decides. That is one which has not failed "
        "before; those that have come up to as much later.",
    )


class JwsOptions(Options):
    """Keystone's own signed tokens, of which forged and expired ones are refused before it is asked."""

    keys: tuple[KeySource, ...] = Field(
        min_length=1,
        description="Its public keys in PEM form: paths of files, or the texts. All that it signs with must be here.",
    )
    leeway: Duration = Field(
        default=10.0, le=300.0, description="How far Keystone's clock may differ when exp is judged."
    )


QuestionTimeout = Annotated[
    Duration,
    Field(
        ge=0.1, le=60.0, description="How long a question may take, and how long it may wait for its turn."
    ),
]
QuestionsAtOnce = Annotated[
    int,
    Field(ge=1, le=1000, description="Questions at once, in each worker; sixteen times as many may wait."),
]


class KeystoneOptions(Options):
    """OpenStack Identity, v3: it is asked for each token that is not remembered."""

    url: Annotated[str, AfterValidator(_identity_url)] = Field(
        description="Where its v3 API is, such as http://127.0.0.1:5000/v3."
    )
    account: AccountOptions | None = Field(
        default=None, description="Whose token the gateway asks with: a user and its password."
    )
    application_credential: ApplicationCredentialOptions | None = Field(
        default=None, description="Or an application credential."
    )
    service_type: Text | None = Field(
        default=None,
        description="What the catalog calls the service behind the gateway, e.g. compute: the access rules of application "
        "credentials are judged by it. Unset, a token that has such rules may do nothing.",
    )
    strip_prefixes: tuple[PathPrefix, ...] = Field(
        default=(),
        description="What may stand before the path that access rules are of, such as /compute where the gateway has the service "
        "under that path; a path without it is judged as it is.",
    )
    include_catalog: bool = Field(
        default=False, description="Hand the catalog to the upstream, in X-Service-Catalog."
    )
    groups: Literal["names", "ids", "none"] | None = Field(
        default=None,
        description="How the user's groups are told, for X-PP-Groups and for limits. They are asked for with the token itself "
        "once it is found to be good, and remembered with it. A token past its end, or with access rules, cannot ask; then the "
        "gateway's own account does, which Keystone's policy must let (`identity:list_groups_for_user`; by default the role "
        "admin alone is enough). Where they cannot be had the answer is 503. A name tells a group in its domain alone: who "
        "manages one may make a group of any name there, and where others do, take `ids`. Unset, it is `names` with "
        "`headers: repose`, as Repose had them, and else `none`.",
    )
    jws: JwsOptions | None = Field(
        default=None,
        description="Where Keystone issues JWS tokens (ES256): those that none of these keys has signed, and those that are "
        "over, are refused here. The others are asked about as ever, and so are tokens of another form.",
    )
    revocation_events: Duration | None = Field(
        default=None,
        ge=1.0,
        le=3600.0,
        description="How often Keystone is asked what it has revoked, by every worker: one that starts asks as far back as what it "
        "may have from others can be old (`cache.ttl`, and `cache.stale_if_error` with `cache.common`). Who is told of is judged anew, and "
        "more rather than less: tokens that were revoked, users that were disabled or deleted or have another password, and "
        "projects that were deleted. Keystone tells nothing of a project that was disabled, of an application credential that "
        "was deleted, and of a role that was taken away: there, and everywhere where this is unset, tokens go on for `cache.ttl` "
        "at most, unless `POST /tokens/revoke` on the admin listener names the user or the project.",
    )
    timeout: QuestionTimeout = 5.0
    concurrency: QuestionsAtOnce = 16
    breaker: BreakerOptions = Field(
        default=BreakerOptions(), description="When Keystone fails, and is left alone for a while."
    )
    tls: TlsOptions | None = Field(default=None, description="For an https URL: whom to trust, and as whom.")

    _one_form = model_validator(mode="after")(_exactly_one("account", "application_credential"))

    @model_validator(mode="after")
    def _prefixes_need_a_service(self) -> "KeystoneOptions":
        if self.strip_prefixes and self.service_type is None:
            raise ValueError("strip_prefixes means nothing without service_type")
        return self

    @model_validator(mode="after")
    def _tls_needs_https(self) -> "KeystoneOptions":
        if self.tls is not None and not self.url.startswith("https:"):
            raise ValueError("tls is for an https URL")
        return self


class IntrospectionClaimOptions(ClaimOptions):
    """Which member of the answer tells what, as with the claims of a signed token."""

    user: str | None = Field(default="username", min_length=1, description="The user's name.")
    roles: str | None = Field(
        default="roles",
        min_length=1,
        description="The roles: a list of names, or one text of names parted by spaces, as `scope` is.",
    )


class IntrospectionOptions(Options):
    """An OAuth 2.0 authorization server, asked for each token that is not remembered (RFC 7662)."""

    url: Annotated[str, AfterValidator(service_url)] = Field(
        description="Its introspection endpoint, such as https://login.example.com/introspect."
    )
    client_id: Text | None = Field(
        default=None, description="Who the gateway is to the server, by HTTP Basic authentication."
    )
    client_secret: Secret | None = Field(
        default=None, description="Its secret; `file:PATH` or `${VARIABLE}` keep it out of this file."
    )
    bearer: Annotated[Secret, AfterValidator(_token)] | None = Field(
        default=None, description="Or a bearer token that the gateway asks with."
    )
    issuer: str | None = Field(
        default=None, min_length=1, description="What iss must be; unset, iss is not looked at."
    )
    audience: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = Field(
        default=(),
        description="Names of this service, one of which aud must hold. Unset, a token that has an aud is refused, "
        "because it is meant for somebody else.",
    )
    leeway: Duration = Field(
        default=10.0,
        le=300.0,
        description="How far the server's clock may differ when exp and nbf are judged.",
    )
    claims: IntrospectionClaimOptions = Field(
        default=IntrospectionClaimOptions(), description="Which member of the answer tells what."
    )
    clients: bool = Field(
        default=False,
        description="Take a token without a user, which a client has got for itself, for one of the user whose id is the "
        "`client_id`. Unset, such a token is refused.",
    )
    timeout: QuestionTimeout = 5.0
    concurrency: QuestionsAtOnce = 16
    breaker: BreakerOptions = Field(
        default=BreakerOptions(), description="When the server fails, and is left alone for a while."
    )
    tls: TlsOptions | None = Field(default=None, description="For an https URL: whom to trust, and as whom.")

    _one_form = model_validator(mode="after")(_exactly_one("client_id", "bearer"))

    @model_validator(mode="after")
    def _whole(self) -> "IntrospectionOptions":
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("client_id and client_secret go together")
        if self.tls is not None and not self.url.startswith("https:"):
            raise ValueError("tls is for an https URL")
        return self


class V2AccountOptions(Options):
    """The gateway's own user."""

    user: Text = Field(description="The user's name.")
    password: Secret | None = Field(
        default=None, description="The password; `file:PATH` or `${VARIABLE}` keep it out of this file."
    )
    api_key: Secret | None = Field(default=None, description="The user's API key, in place of a password.")

    _one_form = model_validator(mode="after")(_exactly_one("password", "api_key"))


class TenantOptions(Options):
    """The tenant that the path names must be one of the token's; roles held in others do not count for the request."""

    param: str | None = Field(
        default=None,
        min_length=1,
        description="The path parameter of the route that names it. A path in which some server may find another is refused, as it is "
        "by `regex`.",
    )
    regex: (
        Annotated[tuple[Annotated[str, AfterValidator(_expression)], ...], BeforeValidator(_one_or_many)]
        | None
    ) = Field(
        default=None,
        min_length=1,
        description="Or regular expressions for the whole path, each with one group, the tenant's id; the first that "
        "matches counts. They are for the path percent-decoded. One that none matches is refused, as is one that names another tenant where "
        "encoded slashes and backslashes are slashes, empty segments are left out, or `;` parameters are; and so is a path of more than "
        "2,048 characters.",
    )
    strip_prefixes: tuple[Text, ...] = Field(
        default=(), description="What may stand in front of a tenant's id in a token, and not in a path."
    )
    bypass_roles: tuple[Role, ...] = Field(
        default=(),
        description="Roles, held in every tenant or in the one named, with which any tenant may be named.",
    )

    _one_form = model_validator(mode="after")(_exactly_one("param", "regex"))


class KeystoneV2Options(Options):
    """Identity v2.0, as Rackspace has it: it is asked for each token that is not remembered."""

    url: Annotated[str, AfterValidator(_identity_v2_url)] = Field(
        description="Where its v2.0 API is, such as https://identity.example.com/v2.0."
    )
    account: V2AccountOptions | None = Field(
        default=None,
        description="Whose token the gateway asks with. Unset, a token asks for itself, and a 401 says that it is none.",
    )
    belongs_to: Text | None = Field(default=None, description="A tenant that every token must belong to.")
    groups: bool = Field(
        default=True,
        description="Ask for the user's groups (RAX-KSGRP) too, for X-PP-Groups; a user who has none has an empty list.",
    )
    ignored_roles: tuple[Role, ...] = Field(
        default=("identity:tenant-access",), description="Roles that are held by everybody, and say nothing."
    )
    tenant: TenantOptions | None = Field(
        default=None,
        description="What the path must say of the tenant. Unset, a request is for the token's default tenant, or for the "
        "first in which the user has a role.",
    )
    timeout: QuestionTimeout = 5.0
    concurrency: QuestionsAtOnce = 16
    breaker: BreakerOptions = Field(
        default=BreakerOptions(), description="When it fails, and is left alone for a while."
    )
    tls: TlsOptions | None = Field(default=None, description="For an https URL: whom to trust, and as whom.")

    @model_validator(mode="after")
    def _tls_needs_https(self) -> "KeystoneV2Options":
        if self.tls is not None and not self.url.startswith("https:"):
            raise ValueError("tls is for an https URL")
        return self


class AttemptOptions(Options):
    """How often a password may be tried."""

    failures: int = Field(
        default=10, ge=1, description="Wrong ones of one user from one address, or one /64 of IPv6 ..."
    )
    period: Duration = Field(
        default=60.0,
        ge=1.0,
        le=86400.0,
        description="... within this time, over all workers; then 429 until it is over.",
    )


class BasicOptions(Options):
    """A user's name and password (RFC 7617), with which a token is got from OpenStack Identity, v3."""

    url: Annotated[str, AfterValidator(_identity_url)] = Field(
        description="Where its v3 API is, such as http://127.0.0.1:5000/v3."
    )
    realm: Annotated[str, AfterValidator(_realm)] = Field(
        default="weir", description="What the client's user is asked for a password of."
    )
    user_domain_id: Text = Field(
        default="default",
        description="The id of the domain of a name without one; others write `domain/user`.",
    )
    user_domain_name: Text | None = Field(default=None, description="The domain's name, in place of its id.")
    project_id: Text | None = Field(
        default=None,
        description="The project that tokens are for. Without an id or a name, the user's default project, if there is one.",
    )
    project_name: Text | None = Field(default=None, description="The project's name, in place of its id.")
    project_domain_id: Text = Field(
        default="default", description="The id of the domain that the project's name is of."
    )
    project_domain_name: Text | None = Field(
        default=None, description="The domain's name, in place of its id."
    )
    include_catalog: bool = Field(
        default=False, description="Hand the catalog to the upstream, in X-Service-Catalog."
    )
    attempts: AttemptOptions = Field(
        default=AttemptOptions(), description="How often a wrong password may be tried."
    )
    timeout: Duration = Field(
        default=5.0,
        ge=0.1,
        le=60.0,
        description="How long a question may take, and how long it may wait for its turn.",
    )
    concurrency: int = Field(
        default=16,
        ge=1,
        le=1000,
        description="Questions at once, in each worker; sixteen times as many may wait.",
    )
    breaker: BreakerOptions = Field(
        default=BreakerOptions(), description="When Keystone fails, and is left alone for a while."
    )
    tls: TlsOptions | None = Field(default=None, description="For an https URL: whom to trust, and as whom.")

    @model_validator(mode="after")
    def _is_sound(self) -> "BasicOptions":
        if self.project_id is not None and self.project_name is not None:
            raise ValueError("expected one of project_id, project_name")
        if self.tls is not None and not self.url.startswith("https:"):
            raise ValueError("tls is for an https URL")
        return self


class ApiKey(Options):
    """One key and the caller it stands for."""

    key_sha256: Annotated[Secret, AfterValidator(_digest)] = Field(
        description="SHA-256 of the key in hexadecimal; `weir key` makes a key and tells it."
    )
    user: Text | None = Field(default=None, description="The user's name.")
    user_id: Text | None = Field(default=None, description="The user's id.")
    project_id: Text | None = Field(default=None, description="The project's id.")
    project_name: Text | None = Field(default=None, description="The project's name.")
    roles: tuple[Role, ...] = Field(
        default=(), description="Names of the roles that the user holds in the project."
    )
    expires: Instant | None = Field(
        default=None,
        description="When the key stops being valid: ISO 8601 with a zone, or seconds since the epoch.",
    )

    @model_validator(mode="after")
    def _is_somebody(self) -> "ApiKey":
        if self.user is None and self.user_id is None:
            raise ValueError("expected user_id or user: a key stands for somebody")
        return self


class ApiKeyOptions(Options):
    """Keys of machines, of which only hashes are kept. A key has 256 random bits (`weir key`), so that a plain SHA-256 of
    it cannot be turned back; a hash that is slow by design would only let strangers keep the gateway busy."""

    file: str = Field(
        description="A YAML file with a list of keys, each `key_sha256` with `user` or `user_id`, and as wanted `project_id`, "
        "`project_name`, `roles` and `expires`; read when the configuration is loaded."
    )
    header: Annotated[str, AfterValidator(_header_name)] = Field(
        default="X-Api-Key", description="The request header field that carries the key."
    )
    forward: bool = Field(default=False, description="Leave the key on the request.")

    @model_validator(mode="after")
    def _has_a_field_of_its_own(self) -> "ApiKeyOptions":
        if self.header.lower() in ("authorization", "x-service-token", "cookie", "host"):
            raise ValueError("this field has a meaning of its own")
        return self


class ServiceTokenOptions(Options):
    """Services that make requests for users, and vouch for them by X-Service-Token."""

    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = Field(
        default=("service",), description="The roles, one of which a service has."
    )


class ProviderOptions(Options):
    """One provider: a mapping with its kind as the only key."""

    static: StaticOptions | None = Field(default=None, description="Tokens written down here or in a file.")
    jwt: JwtOptions | None = Field(
        default=None, description="Signed tokens, verified with keys that are at hand or fetched."
    )

    mtls: Annotated[MtlsOptions | None, BeforeValidator(_defaults)] = Field(
        default=None,
        description="Certificates of clients, verified by the listener; asked whether or not there is a token.",
    )

    keystone: KeystoneOptions | None = Field(
        default=None, description="OpenStack Identity, asked over the network."
    )

    introspection: IntrospectionOptions | None = Field(
        default=None, description="An OAuth 2.0 authorization server, asked over the network."
    )

    keystone_v2: KeystoneV2Options | None = Field(
        default=None, description="Identity v2.0, as Rackspace has it, asked over the network."
    )

    basic: BasicOptions | None = Field(
        default=None, description="A user's name and password (RFC 7617), by which Keystone gives a token."
    )

    api_key: ApiKeyOptions | None = Field(
        default=None, description="Keys of machines, in a field of their own."
    )

    _one_kind = model_validator(mode="after")(
        _exactly_one("static", "jwt", "mtls", "keystone", "keystone_v2", "introspection", "basic", "api_key")
    )


class SharedCacheOptions(StoreOptions):
    """A store by which gateways tell each other what they have learned of tokens. Those that have the same key, prefix, `ttl`
    and options of the provider share."""

    key: Annotated[Secret, AfterValidator(_shared_key)] = Field(
        description="What entries are named and sealed by, 32 characters or more; `file:PATH` or `${VARIABLE}` keep it out "
        "of this file. Who has it can vouch for anybody."
    )
    prefix: str = Field(
        default="weir", pattern=r"^[!-~]{1,64}$", description="What the names of all entries begin with."
    )


class CacheOptions(Options):
    """What is remembered of tokens, so that a token is not judged afresh with every request."""

    ttl: Duration = Field(
        default=300.0,
        description="How long an accepted token is trusted without asking again, but never beyond its expiry.",
    )
    jitter: float = Field(
        default=10.0,
        ge=0,
        le=100,
        description="Percent of `ttl` that a token is asked about earlier by chance, where asking needs the network: tokens "
        "that came together do not end together.",
    )
    stale_if_error: Duration = Field(
        default=0.0,
        description="How long after `ttl` an accepted token is still trusted while its provider cannot be reached, but "
        "never beyond its expiry. A token that is revoked meanwhile goes on as well. A provider that does not answer within half "
        "a second is not waited for: its answer counts once it comes.",
    )
    size: int = Field(
        default=10_000,
        ge=1,
        description="How many accepted tokens each worker remembers; the least used go first. One with a long catalog, or much else "
        "to it, counts once more for each 16 KiB of that: so many take 20 KiB times `size` at the most, 200 MiB by default.",
    )
    negative_ttl: Duration = Field(
        default=5.0,
        le=300.0,
        description="How long a refused token stays refused. Failures of a provider are never remembered.",
    )
    negative_size: int = Field(
        default=10_000, ge=1, description="How many refused tokens are remembered, apart from accepted."
    )
    common: bool = Field(
        default=True,
        description="What one worker has learned of an accepted token from a service (`keystone`, `keystone_v2`, `introspection`, "
        "`basic`) the others have from it, fresh or as far as `stale_if_error` lets it stand in: a token is asked about once by all "
        "workers together, save where several ask at the same time, and a worker that starts knows what is known, after an upgrade by "
        "SIGUSR2 too. It lies in memory that the workers share: 27 MiB at the most, beside what each remembers itself, of which 16 MiB are entries of 128 KiB at "
        "the most each, the oldest of which make room. A revocation takes it there as well. A refused token is not told to others.",
    )
    shared: SharedCacheOptions | None = Field(
        default=None,
        description="What `keystone`, `keystone_v2` and `introspection` say of accepted tokens is told to other gateways, and "
        "asked of them first, as far as they have the same `key`, `prefix`, `ttl` and options of the provider. Sealed: the store "
        "learns nothing. One that is away costs its `timeout` once in a while, and no request. For a revocation by token hash "
        "to reach them all, they need one `log.hash_key`. Nobody can make up an entry; but who can write to the store can put back "
        "one that has been there, and take away the mark of a revocation: then a token that is revoked may go on for `ttl` from when "
        "it was asked about, at gateways other than the one that was told. So it may where a reload puts back a `key`, `prefix` or "
        "`ttl` that was not in force when it was revoked, or where `log.hash_key` has changed since it was by its hash: take "
        "a `prefix` that has not been in use then.",
    )


class TokenAuthConfig(Options):
    header: Annotated[str, AfterValidator(_header_name)] = Field(
        default="X-Auth-Token",
        description="The request header field that carries the token. X-Storage-Token is "
        "another name of X-Auth-Token. In `Authorization` it is a Bearer token (RFC 6750).",
    )
    providers: tuple[ProviderOptions, ...] = Field(
        min_length=1, description="Who is asked for the token, in this order, until one knows it."
    )
    cache: CacheOptions = Field(default=CacheOptions(), description="What is remembered of tokens.")
    service_tokens: ServiceTokenOptions | None = Field(
        default=None,
        description="Services may vouch for requests: X-Service-Token is judged as tokens are, and beside a valid one "
        "Keystone lets a user's token pass that has expired. Unset, a client's X-Service-Token is stripped. While any "
        "`token_auth` is in force, or an `external_auth` with X-Service-Token among its `request_headers`, it is stripped "
        "everywhere where none of them judges it: on routes without one, where `when` leaves it out, and where the "
        "`external_auth` passes a request unjudged (`on_error: allow`) or by an answer that is remembered without it "
        "(`cache.headers`). What `headers` sets there arrives.",
    )
    delay_auth_decision: bool = Field(
        default=False,
        description="Pass a request without a valid token, marked X-Identity-Status: Invalid, for an upstream that "
        "decides itself. It has no principal then, also where an earlier filter had found one. A service's token that is "
        "not good, or that nobody can judge, is taken away, which X-Service-Identity-Status: Invalid tells. Two tokens in one request are refused all the same.",
    )
    forward_token: bool = Field(
        default=True,
        description="Leave the token on the request. Off where the upstream trusts the identity fields alone.",
    )
    headers: ProfileName = Field(
        default="keystonemiddleware",
        description="How the upstream is told who is calling: as OpenStack's services read it, as Repose told it, or not at "
        "all. What a client sends of any of these fields is stripped in every case.",
    )
    repose: ReposeOptions | None = Field(
        default=None, description="What Repose's configuration says of them; for `headers: repose`."
    )
    auth_url: Annotated[str, AfterValidator(_url)] | None = Field(
        default=None,
        description='Where clients get a token; sent with a 401 as WWW-Authenticate: Keystone uri="...", the upstream\'s '
        "too where it has no WWW-Authenticate. Unset, the scheme is sent alone, and with the upstream's only where "
        "Keystone is a provider or the decision is delayed.",
    )

    @model_validator(mode="after")
    def _fields_are_apart(self) -> "TokenAuthConfig":
        names = [self.header.lower(), *(one.api_key.header.lower() for one in self.providers if one.api_key)]
        if any(one.basic for one in self.providers):
            names.append("authorization")
        if len({name.replace("_", "-") for name in names}) != len(names):
            raise ValueError("the token, passwords and keys each need a header field of their own")
        return self

    @model_validator(mode="after")
    def _repose_is_asked_for(self) -> "TokenAuthConfig":
        if self.repose is not None and self.headers != "repose":
            raise ValueError("repose needs `headers: repose`")
        return self

    def files(self) -> tuple[str, ...]:
        """Those with tokens and keys. What stands in the configuration itself is a Secret, and no name of a file."""
        sources: list[str | Secret | None] = []
        for provider in self.providers:
            if provider.static is not None:
                sources.append(provider.static.file)
            if provider.api_key is not None:
                sources.append(provider.api_key.file)
            if provider.jwt is not None:
                for key in provider.jwt.keys or ():
                    sources += (key.pem, key.jwk, key.jwks)
            if provider.keystone is not None and provider.keystone.jws is not None:
                sources += provider.keystone.jws.keys
        return tuple(source for source in sources if isinstance(source, str))

    def reads(self) -> frozenset[Fact]:
        facts = {header(self.header), CLOCK}
        if self.header.lower() == "x-auth-token":
            facts.add(header(STORAGE_HEADER))
        if any(provider.mtls is not None for provider in self.providers):
            facts.add(CERTIFICATE)
        if self.service_tokens is not None:
            facts.add(header(SERVICE_HEADER))
        if any(provider.keystone is not None for provider in self.providers):
            facts |= {METHOD, TARGET}  # for the access rules of application credentials
        for provider in self.providers:
            if provider.basic is not None:
                facts |= {header("Authorization"), CLIENT}
            if provider.api_key is not None:
                facts.add(header(provider.api_key.header))
            if provider.keystone_v2 is not None and provider.keystone_v2.tenant is not None:
                facts.add(TARGET)
                if provider.keystone_v2.tenant.param is not None:
                    facts.add(PARAMS)
        return frozenset(facts)
