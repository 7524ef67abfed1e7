"""Cross-origin requests of browsers (Fetch standard, section 3.2): answers preflights, and says which origins may read answers.

Put it first, so that answers of filters behind it can be read too. A request without Origin, or with that of the host that it is
sent to, is no cross-origin one. An origin that is not allowed is refused 403, and so is a method; origins are compared whole,
never by a part. Every answer says that it depends on Origin. What the upstream says of its own of this is replaced.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from filters._names import FieldName, MethodName
from filters._representation import vary
from gateway.api import Duration, Exchange, Fact, Fault, Filter, Options, Response, Services, Verdict
from gateway.api.fact import HOST, METHOD, RESPONSE, header
from gateway.api.regex import PathRegex, compile_path
from gateway.http.fields import Fields

_ORIGIN: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_LONGEST: Final = 512  # characters of an origin: a name of 253, twice
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]++")
_TOKENS: Final = re.compile(rf"{_TOKEN.pattern}(?:[ \t]*+,[ \t]*+{_TOKEN.pattern})*+")
_MINE: Final = frozenset(
    f"access-control-{name}".encode()
    for name in (
        "allow-origin",
        "allow-credentials",
        "allow-methods",
        "allow-headers",
        "expose-headers",
        "max-age",
    )
)


def _origin(text: str) -> str:
    """As browsers write it: lower case, without the scheme's own port."""
    if text in ("*", "null"):
        return text
    if _ORIGIN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an origin, such as https://app.example.com, without a path")
    return _normal(text)


def _normal(origin: str) -> str:
    origin = origin.lower()
    scheme = origin.partition(":")[0]
    return origin.removesuffix(_DEFAULT_PORTS.get(scheme, "\0"))


class CORSConfig(Options):
    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        (),
        description="Origins that are allowed, such as https://app.example.com; `*` is any, and `null` that of files and sandboxes.",
    )
    origin_regexes: tuple[PathRegex, ...] = Field(
        (),
        description="Regular expressions, one of which the whole origin must match: https://[a-z0-9-]+\\.example\\.com.",
    )
    methods: tuple[MethodName, ...] | None = Field(
        None, min_length=1, description="Methods that are allowed; any where unset."
    )
    headers: tuple[FieldName, ...] | None = Field(
        None, description="Header fields that a request may have beside the plain ones; any where unset."
    )
    expose: tuple[FieldName, ...] = Field(
        (),
        description="Header fields of answers that scripts may read beside the plain ones; `*` is all that there are.",
    )
    credentials: bool = Field(
        False, description="Whether cookies and credentials that the browser holds may be sent along."
    )
    max_age: Duration | None = Field(
        None,
        le=86_400,
        description="How long a browser may keep what a preflight says; its own choice where unset.",
    )

    @model_validator(mode="after")
    def _allows_somebody(self) -> "CORSConfig":
        if not self.origins and not self.origin_regexes:
            raise ValueError("expected origins, origin_regexes, or both")
        if self.credentials and "*" in self.origins:
            raise ValueError("credentials go to origins that are named, not to *")
        return self

    def reads(self) -> frozenset[Fact]:
        names = ("origin", "access-control-request-method", "access-control-request-headers")
        return frozenset({METHOD, HOST, RESPONSE, *map(header, names)})


class CORS(Filter[CORSConfig]):
    name = "cors"
    Config = CORSConfig
    access = {
        "origins": "more",
        "origin_regexes": "more",
        "methods": "more",
        "headers": "more",
        "expose": "more",
        "credentials": "more",
        "max_age": "none",
    }

    def __init__(self, config: CORSConfig, services: Services) -> None:
        super().__init__(config, services)
        self._any = "*" in config.origins
        self._origins = frozenset(config.origins)
        self._matches = tuple(compile_path(regex).fullmatch for regex in config.origin_regexes)
        self._methods = frozenset(config.methods) if config.methods is not None else None
        self._denied = Fault(
            403,
            "origin_denied",
            "Requests from this origin are not allowed.",
            rule=("origins",) if config.origins else ("origin_regexes",),
            headers=(("Vary", "Origin"),),
        )
        self._method_denied = Fault(
            403,
            "cors_method_denied",
            "This method is not allowed from another origin.",
            rule=("methods",),
            headers=(("Vary", "Origin"),),
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        fields = exchange.request.headers
        origins = fields.all(b"origin")
        if not origins or self._is_own(origins, exchange.host):
            return None
        asked = fields.all(b"access-control-request-method") if exchange.method == "OPTIONS" else []
        refusal = None
        if not self._is_allowed(origins):
            refusal = self._denied
        elif not self._has_method(asked[0] if asked else exchange.method):
            refusal = self._method_denied
        if refusal is not None:
            return refusal
        if not asked:
            return None
        return self._preflight(origins[0], asked, fields.all(b"access-control-request-headers"))

    def _is_own(self, origins: list[str], host: str) -> bool:
        """Whether the one origin is the host that is asked: its scheme is what proxies before us have made of it."""
        if len(origins) != 1 or _ORIGIN.fullmatch(origins[0]) is None:
            return False
        origin = _normal(origins[0])
        scheme, _, authority = origin.partition("://")
        return authority == host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, "\0"))

    def _is_allowed(self, origins: list[str]) -> bool:
        if len(origins) != 1 or len(origins[0]) > _LONGEST:
            return False
        origin = origins[0]
        if origin != "null" and _ORIGIN.fullmatch(origin) is None:
            return False
        origin = _normal(origin)
        return self._any or origin in self._origins or any(matches(origin) for matches in self._matches)

    def _has_method(self, method: str) -> bool:
        if self._methods is None:
            return _TOKEN.fullmatch(method) is not None
        return method in self._methods

    def _preflight(self, origin: str, asked: list[str], headers: list[str]) -> Response:
        config = self.config
        answer = Response(204, reason="preflight_answered")
        fields = answer.headers
        self._tell(fields, origin)
        methods = config.methods if config.methods is not None else asked[:1]
        fields.add(b"Access-Control-Allow-Methods", ", ".join(methods))
        if config.headers is not None:
            names = ", ".join(config.headers)
        else:
            names = headers[0] if len(headers) == 1 and _TOKENS.fullmatch(headers[0]) else ""
        if names:
            fields.add(b"Access-Control-Allow-Headers", names)
        if config.max_age is not None:
            fields.add(b"Access-Control-Max-Age", str(int(config.max_age)))
        fields.add(b"Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        return answer

    def on_response(self, exchange: Exchange) -> Verdict:
        response = exchange.response
        if response is None:
            return None
        fields = response.headers
        fields.drop(_MINE)
        vary(fields, "Origin")
        origins = exchange.request.headers.all(b"origin")
        if not self._is_allowed(origins) or self._is_own(origins, exchange.host):
            return None
        self._tell(fields, origins[0])
        names = self.config.expose
        if "*" in names:
            names = tuple(dict.fromkeys(name.decode("latin-1") for name, _ in fields.raw))
        if names:
            fields.add(b"Access-Control-Expose-Headers", ", ".join(names))
        return None

    def _tell(self, fields: Fields, origin: str) -> None:
        fields.add(b"Access-Control-Allow-Origin", "*" if self._any else origin)
        if self.config.credentials:
            fields.add(b"Access-Control-Allow-Credentials", "true")
