"""The options of `external_auth`."""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from filters._identity import STRIPPED
from filters._names import Challenge, FieldName
from gateway.api import Duration, Fact, Options, Size, TlsOptions
from gateway.api.fact import CLIENT, CLOCK, HOST, METHOD, PRINCIPAL, SCHEME, TARGET, header
from gateway.http.framing import HOP_BY_HOP

_FRAMING: Final = HOP_BY_HOP | {b"content-length", b"host", b"expect", b"date", b"via", b"content-encoding"}
_OURS: Final = ("x-forwarded-", "x-original-", "forwarded")


def _url(value: str) -> str:
    parts = urlsplit(value)
    try:
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if (
        wrong
        or parts.username is not None
        or parts.query
        or parts.fragment
        or not value.isascii()
        or " " in value
    ):
        raise ValueError(
            "expected an http or https URL without a query, such as http://127.0.0.1:9000/verify"
        )
    return value


def _carried(name: str) -> str:
    if name.lower().encode("ascii") in _FRAMING:
        raise ValueError(f"{name} belongs to one message or connection")
    return name


def _asked(name: str) -> str:
    if name.lower().startswith(_OURS):
        raise ValueError(f"{name} is the gateway's own word to the service")
    return _carried(name)


CarriedName = Annotated[FieldName, AfterValidator(_carried)]
AskedName = Annotated[FieldName, AfterValidator(_asked)]


class CacheOptions(Options):
    """What is remembered of answers; a failure never is, nor what says Cache-Control: no-store."""

    ttl: Duration = Field(
        60.0,
        ge=0,
        le=86400,
        description="How long a yes is remembered; a shorter max-age of the service's counts.",
    )
    negative_ttl: Duration = Field(5.0, ge=0, le=3600, description="How long 401 and 403 are remembered.")
    size: int = Field(10_000, ge=1, description="How many answers are remembered.")
    headers: tuple[AskedName, ...] | None = Field(
        None,
        description="Fields that an answer depends on, of those in `request_headers`; all of them when unset.",
    )
    by_request: bool = Field(
        True,
        description="Whether an answer depends on method, target, host, scheme and client's address as well; false where "
        "the service goes by credentials alone.",
    )


class BreakerOptions(Options):
    """When the service is left alone."""

    failures: int = Field(
        5,
        ge=1,
        description="After how many failures in a row, of different credentials (two at least, unless nobody listens): fields in "
        "`cache.headers`, else in `request_headers`, or the client's address where there are none. Credentials that alone fail so "
        "often are themselves left alone, and keep nobody else out; with `on_error: allow`, where the service is only slow for "
        "them, they are asked about each time. Not counted is what a request may have brought about by its size or form: answers "
        "4xx, or that are too large or no HTTP; and of one that has more than 2 KiB for the service, 5xx and connections that it "
        "closes.",
    )
    pause: Duration = Field(
        10.0,
        ge=0.1,
        le=600.0,
        description="For how long; then one question is let out, and what comes of it decides. It is of credentials that have not "
        "failed before; those that have come up to as much later.",
    )


class PrincipalOptions(Options):
    """Fields of a yes that say who is calling."""

    user_id: FieldName | None = Field(None, description="The user's id.")
    user_name: FieldName | None = Field(None, description="The user's name.")
    project_id: FieldName | None = Field(None, description="The project's id.")
    project_name: FieldName | None = Field(None, description="The project's name.")
    roles: FieldName | None = Field(None, description="Names of roles, parted by commas.")

    @model_validator(mode="after")
    def _says_somebody(self) -> "PrincipalOptions":
        if self.user_id is None and self.user_name is None:
            raise ValueError("expected user_id or user_name: a principal is somebody")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The fields."""
        named = (self.user_id, self.user_name, self.project_id, self.project_name, self.roles)
        return tuple(name for name in named if name is not None)


class ExternalAuthConfig(Options):
    url: Annotated[str, AfterValidator(_url)] = Field(description="The service, asked by GET.")
    tls: TlsOptions | None = Field(None, description="How an https service is spoken to.")
    convention: Literal["nginx", "traefik"] = Field(
        "nginx",
        description="nginx, as auth_request has it: 2xx is a yes, 401 and 403 a no, all else a failure; it hears of the "
        "request by X-Original-Method and X-Original-URI. traefik, as forwardAuth has it: 2xx is a yes, all else goes to "
        "the client as it is; it hears by X-Forwarded-Method, -Proto, -Host, -Uri and -For.",
    )
    request_headers: tuple[AskedName, ...] = Field(
        ("Authorization", "Cookie", "X-Auth-Token"),
        description="Fields of the request that the service gets; records hold only hashes of their values.",
    )
    response_headers: tuple[CarriedName, ...] = Field(
        (),
        description="Fields of a yes that the upstream gets, in place of a client's own, in every spelling, and of those that an "
        "earlier filter has set. Where one of them, or `principal`, says who is calling, nothing that a client says of it arrives; and "
        "an answer with two lines of such a field that is no list, or with bytes in it that are no UTF-8, is a failure.",
    )
    relay_headers: tuple[CarriedName, ...] = Field(
        (),
        description="traefik: fields that a client gets with a no though they are held back otherwise: Set-Cookie, Server.",
    )
    challenge: Challenge = Field(
        "Keystone",
        description="nginx: WWW-Authenticate of a 401 where the service names none, such as Bearer.",
    )
    principal: PrincipalOptions | None = Field(
        None,
        description="Which fields of a yes say who is calling; unset, nobody is known by it. A client's own do not arrive. Who is "
        "known by it takes the place of a principal that an earlier filter has found, and of the fields that told of it; the "
        "upstream is told what `response_headers` names.",
    )
    cache: CacheOptions | None = Field(
        None, description="What is remembered; unset, every request is asked about."
    )
    timeout: Duration = Field(
        2.0,
        ge=0.05,
        le=60.0,
        description="How long an answer may take, and how long a question may wait for its turn.",
    )
    concurrency: int = Field(
        32,
        ge=1,
        le=1024,
        description="Questions at once, in each worker; 16 times as many wait, one more is a failure.",
    )
    max_body: Size = Field(
        65536,
        le=1 << 20,
        description="traefik: bytes of an answer's body; one with more is a failure. nginx: bodies are ignored.",
    )
    breaker: BreakerOptions = Field(
        BreakerOptions.model_validate({}), description="When the service is left alone for a while."
    )
    on_error: Literal["deny", "allow"] = Field(
        "deny",
        description="What becomes of a request that the service does not judge: deny is 503 with Retry-After; allow passes "
        "it where the service cannot be reached or is slow, and the record says so. An X-Service-Token that nobody else has judged is then taken away.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "ExternalAuthConfig":
        cache = self.cache
        if cache is not None:
            asked = {name.lower() for name in self.request_headers}
            for name in cache.headers or ():
                if name.lower() not in asked:
                    raise ValueError(f"cache.headers names {name}, which is not among request_headers")
            if not cache.by_request and not (asked if cache.headers is None else cache.headers):
                raise ValueError(
                    "cache: one answer would be everybody's; name headers, or leave by_request true"
                )
        if self.relay_headers and self.convention == "nginx":
            raise ValueError("relay_headers has no meaning with convention: nginx")
        return self

    def reads(self) -> frozenset[Fact]:
        clock = () if self.cache is None else (CLOCK,)
        # What of an identity is passed unjudged depends on whether somebody is known.
        claims = any(name.lower().encode("ascii") in STRIPPED for name in self.request_headers)
        known = (PRINCIPAL,) if claims and self.on_error == "allow" else ()
        asked = map(header, self.request_headers)
        return frozenset({METHOD, TARGET, HOST, SCHEME, CLIENT, *clock, *known, *asked})
