"""The configuration as typed values: every core option with its default and its meaning.

Whatever is here has been checked already: addresses are parsed, names are unique, a route's upstream exists.
The reference and the JSON Schema are generated from these models.
"""

import ipaddress
import re
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from gateway.api.json_path import JsonPath
from gateway.api.network import TlsOptions
from gateway.api.option import Duration, Options, Secret, Size, Statuses
from gateway.api.regex import PathRegex
from gateway.condition import When
from gateway.config.section import Section
from gateway.config.traffic import Concurrency, Mirror, PriorityClass, Retries
from gateway.http.template import parse
from gateway.http.upgrade import NEVER, PROTOCOL
from gateway.line_format import LineFormat

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_PORTS = {"http": 80, "https": 443}
# How others write a socket: unix:/path and http://unix:/path: (nginx), unix//path (Caddy), unix@/path (HAProxy), a
# bare path.
_SOCKET_ELSEWHERE = re.compile(r"(?:(?:https?://)?unix:/+|unix:|unix//|unix@/*|/+)([^@%].*?)?:?$")

_ADDRESS_SCHEMA = {
    "type": "string",
    "pattern": r"^(\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]|[A-Za-z0-9._-]+):[0-9]{1,5}$",
}
_COLLECTOR_SCHEMA = r"^https?://[^/?#@\s]+(/[^?#\s]*)?$"
_URL_SCHEMA = {"type": "string", "pattern": r"^(https?://[^/?#@\s]+|unix:///.*[^/])$"}
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")
_SOCKET_PATH = 107  # bytes that the kernel has room for, sun_path in unix(7), without the NUL behind it


class Address(NamedTuple):
    """Where a listener listens: a host name or IP address, and a port; 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(NamedTuple):
    """Where a listener listens without a network: the path of a Unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Place: TypeAlias = Address | UnixAddress


class Endpoint(NamedTuple):
    """One server of an upstream.

    host, port  of a server that is spoken to over TCP; "" and 0 for a socket of this host
    scheme      "http", "https" or "unix"
    path        of the socket
    """

    host: str
    port: int
    scheme: str = "http"
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port as a Host field carries them: without the port when it is the scheme's own.

        A socket has no name; `localhost` is what nginx sends for one.
        """
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """Host and port, or the socket, as records name it."""
        if self.scheme == "unix":
            return str(self)
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path or self.address}"


def parse_address(value: object) -> Address:
    """`127.0.0.1:8080`, `[::1]:8080` or `name:8080`. Raises ValueError."""
    if isinstance(value, Address):
        return value
    expected = "expected host:port such as 127.0.0.1:8080 or [::1]:8080"
    if not isinstance(value, str):
        raise ValueError(expected)
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError(f"{expected}, got {value!r}")
    if len(port) > 5 or int(port) > 65535:
        raise ValueError(f"a port is 0 to 65535, got {port[:12]}")
    return Address(_host(host, f"{expected}, got {value!r}"), int(port))


def parse_place(value: object) -> Place:
    """What `parse_address` takes, or `unix:/path`. Raises ValueError."""
    if isinstance(value, UnixAddress):
        return value
    if isinstance(value, str) and value.startswith("unix:") and not value[5:].isdigit():
        # `unix:///path`, as an endpoint is written, is the same path.
        return UnixAddress(_socket_path(re.sub(r"^unix:(?://(?=/))?", "", value)))
    return parse_address(value)


def _socket_path(value: str) -> str:
    if not value or "\0" in value or value.endswith("/"):
        raise ValueError("expected the path of a socket, such as /run/weir/weir.sock")
    if len(value.encode("utf-8", "surrogateescape")) > _SOCKET_PATH:
        raise ValueError(f"the path of a socket has at most {_SOCKET_PATH} bytes")
    return value


def parse_endpoint(value: object) -> Endpoint:
    """`http://host`, `https://host:port` or `unix:///path`; the port is that of the scheme. Raises ValueError."""
    if isinstance(value, Endpoint):
        return value
    expected = "expected http://host:port, https://host:port or unix:///path"
    if not isinstance(value, str):
        raise ValueError(expected)
    if value.startswith("unix:///"):
        return _socket(value.removeprefix("unix://"))
    if found := _SOCKET_ELSEWHERE.match(value):
        raise ValueError(f"a socket is written unix:///{found[1] or 'path'}, not {value!r}")
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError(f"{expected}, got {value!r}") from None
    if parts.scheme not in _PORTS or not value.lower().startswith(f"{parts.scheme}://"):
        raise ValueError(f"{expected}, got {value!r}")
    if "@" in parts.netloc:
        raise ValueError("an endpoint carries no user or password")
    if parts.path or "?" in value or "#" in value:
        raise ValueError("an endpoint has no path and no query: the request's target is never rewritten")
    host, colon, port = parts.netloc.rpartition(":")
    if not colon or parts.netloc.endswith("]"):
        host, port = parts.netloc, str(_PORTS[parts.scheme])
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError("the port of an endpoint is 1 to 65535")
    return Endpoint(_host(host, f"{expected}, got {value!r}"), int(port), parts.scheme)


class CollectorURL(NamedTuple):
    """Where traces or logs are sent to: "http" or "https", host and port, and the path of the requests."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{Endpoint(self.host, self.port, self.scheme).address}{self.path}"


def parse_collector(value: object, path: str = "/v1/traces") -> CollectorURL:
    """`http://host:4318`, which stands for OTLP's own `path`, or `https://host/path`. Raises ValueError."""
    if isinstance(value, CollectorURL):
        return value
    expected = f"expected the URL of a collector, such as http://127.0.0.1:4318{path}"
    if not isinstance(value, str) or not _COLLECTOR.fullmatch(value):
        raise ValueError(expected)
    scheme, _, rest = value.partition("://")
    authority, slash, own = rest.partition("/")
    if "@" in authority:
        raise ValueError("the URL of a collector carries no user or password: `headers` may hold a token")
    try:
        endpoint = parse_endpoint(f"{scheme}://{authority}")
    except ValueError:
        raise ValueError(expected) from None
    return CollectorURL(endpoint.scheme, endpoint.host, endpoint.port, slash + own if own else path)


# Printable ASCII without space, quotes, angle brackets, "?" and "#".
_COLLECTOR = re.compile(r"https?://[!$-;=@-~]+")


def _socket(path: str) -> Endpoint:
    if path.endswith("/"):
        raise ValueError(f"expected the path of a socket, and {path!r} is that of a directory")
    if len(path.encode("utf-8", "surrogatepass")) > _SOCKET_PATH:
        raise ValueError(f"the path of a socket has at most {_SOCKET_PATH} bytes")
    if "\0" in path:
        raise ValueError("the path of a socket holds no NUL")
    return Endpoint("", 0, "unix", path)


def _host(text: str, complaint: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        number, percent, zone = text[1:-1].partition("%")
        if percent and not _ZONE.fullmatch(zone):
            raise ValueError(complaint)
        try:
            return f"{ipaddress.IPv6Address(number)}{percent}{zone}"
        except ValueError:
            raise ValueError(complaint) from None
    labels = text.lower().removesuffix(".").split(".")
    if len(text) > 253 or not all(len(label) <= 63 and _LABEL.fullmatch(label) for label in labels):
        raise ValueError(complaint)
    if labels[-1].isdigit():  # a name never ends in a number (RFC 3696 section 2): this is an IPv4 address
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(complaint) from None
    return text.lower()


def _network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a network such as 10.0.0.0/8")
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        if "host bits" in str(error):
            network = ipaddress.ip_network(value, strict=False)
            raise ValueError(f"{value} has host bits set, the network is {network}") from None
        raise ValueError(f"expected a network such as 10.0.0.0/8, got {value!r}") from None


def _source(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | Literal["unix"]:
    return "unix" if value == "unix" else _network(value)


def _listed(value: object) -> object:
    return [value] if isinstance(value, (str, dict, Address, UnixAddress, Listen)) else value


def _listen(value: object) -> object:
    """What is written short stands for an entry with nothing but its place."""
    if isinstance(value, (dict, Listen)):
        return value
    return listen_at(value)


def _file_mode(value: object) -> str:
    if not isinstance(value, str) or not _FILE_MODE.fullmatch(value):
        raise ValueError('expected the permissions of the socket in quotes, such as "0660"')
    return value


_FILE_MODE = re.compile(r"0?[0-7]{3}")


def _file(value: str) -> str:
    if "-----BEGIN" in value:
        raise ValueError("expected the path of a file, not what is in it")
    if not value or "\0" in value:
        raise ValueError("expected the path of a file")
    return value


def _tls_version(value: object) -> object:
    """YAML takes 1.2 for a number."""
    return str(value) if isinstance(value, float) else value


def _not_empty(value: object) -> object:
    """A block that is written but empty would mean that nothing is asked for, where all was meant to be."""
    if value is None:
        raise ValueError("is written but empty")
    return value


def _absent(value: object) -> object:
    return [] if value is None else value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            "a name is 1 to 64 letters, digits, '-', '_' or '.', and begins with a letter or digit"
        )
    return value


def _method(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value != value.upper():
        raise ValueError(f"expected a method in capitals such as GET, got {value!r}")
    return value


def _upstream_host(value: str) -> str:
    if value in ("keep", "upstream"):
        return value
    complaint = f"expected keep, upstream, or the name to send as Host, got {value!r}"
    name, colon, port = value.rpartition(":")
    if colon and not value.endswith("]"):
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
            raise ValueError(complaint)
        _host(name, complaint)
    else:
        _host(value, complaint)
    return value


def _check_host(value: str) -> str:
    if value in ("keep", "upstream"):
        raise ValueError(f"expected the name to send as Host, got {value!r}")
    return _upstream_host(value)


def _server_name(value: str) -> str:
    return _host(value, f"expected the name in the upstream's certificate, got {value!r}").removesuffix(".")


def _route_host(value: str) -> str:
    complaint = f"expected a host name without a port, or *.example.com for those below it, got {value!r}"
    star = value.startswith("*.")
    host = _host(value.removeprefix("*."), complaint)
    if star:
        return f"*.{host}"
    return f"[{host}]" if ":" in host else host


def _pseudonym(value: str) -> str:
    if not _TOKEN.fullmatch(value):  # RFC 9110 section 7.6.3
        raise ValueError("a pseudonym is letters, digits and !#$%&'*+-.^_`|~ only")
    return value


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value.lower() in _HEADERS_OF_OURS:
        raise ValueError(f"expected the name of a header field that is not the request's own, got {value!r}")
    return value


def _sendable(headers: dict[str, Secret]) -> dict[str, Secret]:
    for name, value in headers.items():
        if not _FIELD_VALUE.fullmatch(value.reveal()):
            raise ValueError(f"the value of {name} is not one that a header field can have")
    return headers


# Of every request to a collector.
_HEADERS_OF_OURS = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "expect", "host"),
        *("transfer-encoding", "upgrade"),
    }
)
_FIELD_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff]*")


def _protocol(value: str) -> str:
    if not PROTOCOL.fullmatch(value):
        raise ValueError(f"expected the name of a protocol such as websocket, got {value!r}")
    name = value.lower()
    if name.partition("/")[0] in NEVER:
        raise ValueError(f"{value} carries requests, which would pass the filters by: it is never passed")
    return name


def _template(value: str) -> str:
    parse(value)
    return value


def _hash(value: str) -> str:
    kind, _, name = value.partition(":")
    if value in HASH_KEYS or (kind == "header" and _TOKEN.fullmatch(name)) or (kind == "param" and name):
        return value
    raise ValueError(f"expected {', '.join(HASH_KEYS)}, header:NAME or param:NAME, got {value!r}")


HASH_KEYS = ("project_id", "user_id", "client_ip")


def _line_form(value: str) -> str:
    LineFormat.headers_of(value)
    return value


def _media_type(value: str) -> str:
    kind, _, sub = value.partition("/")
    if not _TOKEN.fullmatch(kind) or not _TOKEN.fullmatch(sub) or kind == "*":
        raise ValueError(f"expected a media type such as application/json, or text/*, got {value!r}")
    return value.lower()


def parse_share(value: object) -> float:
    """0 to 1, of `12.5%` or of a number of percent. Raises ValueError."""
    text = value.removesuffix("%") if isinstance(value, str) and value.endswith("%") else None
    number = -1.0
    if text is not None and _NUMBER.fullmatch(text):
        number = float(text)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    if not 0 <= number <= 100:
        raise ValueError(f"expected a share such as 10%, got {value!r}")
    return number / 100


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _path(value: str) -> str:
    if not _ORIGIN_FORM.fullmatch(value):
        raise ValueError(f"expected a path such as /healthcheck, got {value!r}")
    return value


_ORIGIN_FORM = re.compile(r"/[!-\"$-~]*")


ListenAddress: TypeAlias = Annotated[
    Address, PlainValidator(parse_address), PlainSerializer(str), WithJsonSchema(_ADDRESS_SCHEMA)
]
CollectorAddress: TypeAlias = Annotated[
    CollectorURL,
    PlainValidator(parse_collector),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": _COLLECTOR_SCHEMA}),
]
LogCollectorAddress: TypeAlias = Annotated[
    CollectorURL,
    PlainValidator(lambda value: parse_collector(value, "/v1/logs")),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": _COLLECTOR_SCHEMA}),
]
EndpointURL: TypeAlias = Annotated[
    Endpoint,
    PlainValidator(parse_endpoint),
    PlainSerializer(str),
    WithJsonSchema(_URL_SCHEMA),
]
Network: TypeAlias = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network,
    PlainValidator(_network),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"}),
]
Source: TypeAlias = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network | Literal["unix"],
    PlainValidator(_source),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^([0-9A-Fa-f.:]+(/[0-9]{1,3})?|unix)$"}),
]
"""A network, or `unix` for whoever may connect to a Unix socket."""
File: TypeAlias = Annotated[str, AfterValidator(_file)]
HeaderName: TypeAlias = Annotated[str, AfterValidator(_header_name)]
Name: TypeAlias = Annotated[str, AfterValidator(_name)]
TlsVersion: TypeAlias = Annotated[Literal["1.2", "1.3"], BeforeValidator(_tls_version)]
Method: TypeAlias = Annotated[str, AfterValidator(_method)]
ExcerptSize: TypeAlias = Annotated[Size, Field(le=64 << 10)]
MediaType: TypeAlias = Annotated[str, AfterValidator(_media_type)]
Share: TypeAlias = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(lambda share: f"{share * 100:g}%", return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": r"^\d+(\.\d+)?%$"},
            ]
        }
    ),
]
"""Written as 10%, or as a number of percent; 0 to 1."""
UpgradeProtocol: TypeAlias = Annotated[str, AfterValidator(_protocol)]


class ListenTLS(Options):
    """TLS with the clients of one listener (RFC 8446; RFC 9325)."""

    certificate: File = Field(
        description="File of the certificate, and of those that lead from it to its authority, in PEM form."
    )
    key: File | None = Field(
        default=None,
        description="File of the certificate's private key in PEM form; the certificate's own file where absent.",
    )
    key_passphrase: Secret | None = Field(default=None, description="What an encrypted key is opened with.")
    client_ca: File | None = Field(
        default=None,
        description="File of the authorities whose clients' certificates are believed, in PEM form; no client is "
        "asked for one where absent.",
    )
    client_certificate: Literal["require", "optional"] = Field(
        default="require",
        description="Whether a client must have a certificate of `client_ca`, or may come without any.",
    )
    minimum: TlsVersion = Field(default="1.2", description="The oldest version of TLS that is spoken.")
    ciphers: str = Field(
        default="ECDHE+AESGCM:ECDHE+CHACHA20",
        min_length=1,
        description="Ciphers of TLS 1.2, as OpenSSL lists them; the default has forward secrecy and authenticates "
        "what it encrypts. TLS 1.3 has good ones only.",
    )
    handshake_timeout: Duration = Field(
        default=10.0, gt=0, description="How long the handshake may take; then the connection is closed."
    )
    reload: Duration = Field(
        default=10.0,
        description="How often the files are looked at; changed ones serve new connections, and bad ones change "
        "nothing. 0 never looks.",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "ListenTLS":
        if "client_certificate" in self.model_fields_set and self.client_ca is None:
            raise ValueError("client_certificate needs client_ca: without one no certificate is believed")
        return self


class ProxyProtocol(Options):
    """The PROXY protocol, version 1 or 2, by which a balancer in front tells whom it connects."""

    trusted: Annotated[tuple[Source, ...], Field(min_length=1)] = Field(
        description="Networks of the balancers, whose connections must begin with it; `unix` for those through a "
        "Unix socket. Connections from elsewhere are closed."
    )
    timeout: Duration = Field(
        default=5.0, gt=0, description="How long it may take to arrive; then the connection is closed."
    )


class Listen(Options):
    """One place where the gateway listens."""

    address: ListenAddress | None = Field(default=None, description="host:port.")
    unix: Annotated[str, AfterValidator(_socket_path)] | None = Field(
        default=None,
        description="Path of a Unix socket, in place of `address`. One that a dead process has left is replaced.",
    )
    mode: Annotated[str, PlainValidator(_file_mode), WithJsonSchema({"type": "string"})] = Field(
        default="0660", description="Permissions of the Unix socket: who may write to it may connect."
    )
    ipv6_only: bool = Field(
        default=True,
        description="Whether an IPv6 address such as `[::]` leaves out clients with IPv4 addresses.",
    )
    half_close: bool = Field(
        default=True,
        description="Whether a client that ends its side of the connection behind a whole request still gets the answer, as "
        "RFC 9112 section 9.6 lets it. One that has closed the connection looks the same over TCP until something is written to it, "
        "so its request goes on as long. false takes both for gone, as many gateways do: the request ends at once, at the upstream "
        "too, and gives back what it holds. A reset, and any end under TLS, is that in either case. WebSocket and other upgraded "
        "connections end side by side whatever stands here.",
    )
    tls: ListenTLS | None = Field(default=None, description="TLS; plain HTTP where absent.")
    proxy_protocol: ProxyProtocol | None = Field(
        default=None, description="The PROXY protocol of balancers in front; not spoken where absent."
    )

    _no_empty_block = field_validator("tls", "proxy_protocol", mode="before")(_not_empty)

    @model_validator(mode="after")
    def _is_one_place(self) -> "Listen":
        if (self.address is None) == (self.unix is None):
            raise ValueError("expected exactly one of address, unix")
        if "mode" in self.model_fields_set and self.unix is None:
            raise ValueError("mode is for a Unix socket")
        if "ipv6_only" in self.model_fields_set and (self.address is None or ":" not in self.address.host):
            raise ValueError("ipv6_only is for an IPv6 address")
        return self

    @property
    def place(self) -> Place:
        if self.address is not None:
            return self.address
        assert self.unix is not None
        return UnixAddress(self.unix)

    @property
    def scheme(self) -> str:
        return "http" if self.tls is None else "https"

    def __str__(self) -> str:
        return str(self.place)


def listen_at(value: object) -> Listen:
    """The entry that is written short: its place, as `parse_place` takes it, and nothing else. Raises ValueError."""
    place = parse_place(value)
    return Listen(unix=place.path) if isinstance(place, UnixAddress) else Listen(address=place)


_BEARER = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # what a header field can hold as it is


class AdminListen(Options):
    """The admin listener: health, metrics, what is in force, and reload."""

    address: ListenAddress | None = Field(
        default=None,
        description="host:port. One that others than this host can reach needs a `token`, or `tls` with `client_ca`.",
    )
    unix: Annotated[str, AfterValidator(_socket_path)] | None = Field(
        default=None, description="Path of a Unix socket, in place of `address`."
    )
    mode: Annotated[str, PlainValidator(_file_mode), WithJsonSchema({"type": "string"})] = Field(
        default="0660", description="Permissions of the Unix socket: who may write to it may ask."
    )
    token: Secret | None = Field(
        default=None,
        description="What a client sends as `Authorization: Bearer TOKEN` for all but the health pages; none is asked "
        "for where absent.",
    )
    viewer_token: Secret | None = Field(
        default=None,
        description="The same for who may look at what goes on, but sees neither users, projects and clients nor the configuration, and "
        "changes nothing.",
    )
    tls: ListenTLS | None = Field(default=None, description="TLS; plain HTTP where absent.")

    _no_empty_block = field_validator("tls", mode="before")(_not_empty)

    @field_validator("token", "viewer_token")
    @classmethod
    def _fits_a_field(cls, token: Secret | None) -> Secret | None:
        if token is not None and not _BEARER.fullmatch(token.reveal()):
            raise ValueError(
                "expected at least one visible ASCII character, and no other but spaces between them"
            )
        return token

    @model_validator(mode="after")
    def _is_one_guarded_place(self) -> "AdminListen":
        if (self.address is None) == (self.unix is None):
            raise ValueError("expected exactly one of address, unix")
        if "mode" in self.model_fields_set and self.unix is None:
            raise ValueError("mode is for a Unix socket")
        if self.viewer_token is not None:
            if self.token is None:
                raise ValueError("viewer_token needs a token beside it, for who may do more")
            if self.viewer_token.reveal() == self.token.reveal():
                raise ValueError("viewer_token and token are the same")
        guarded = self.token is not None or self.asks_certificate
        if self.address is not None and not guarded and not _loopback(self.address.host):
            raise ValueError(
                f"{self.address} can be reached by others than this host: it needs a token, or tls with client_ca"
            )
        return self

    @property
    def asks_certificate(self) -> bool:
        """Whether no client is served without a certificate."""
        return (
            self.tls is not None
            and self.tls.client_ca is not None
            and self.tls.client_certificate == "require"
        )

    @property
    def listen(self) -> Listen:
        """The place alone, as a listener of requests would have it."""
        if self.unix is not None:
            return Listen(unix=self.unix, mode=self.mode)
        return Listen(address=self.address)

    def __str__(self) -> str:
        return str(self.listen)


def admin_at(value: object) -> AdminListen:
    """The admin listener that is written short: its place, as `parse_place` takes it. Raises ValueError."""
    place = parse_place(value)
    return AdminListen(unix=place.path) if isinstance(place, UnixAddress) else AdminListen(address=place)


def _admin(value: object) -> object:
    """What is written short stands for a mapping with nothing but its place."""
    if value is None or isinstance(value, (dict, AdminListen)):
        return value
    place = parse_place(value)
    return {"unix": place.path} if isinstance(place, UnixAddress) else {"address": place}


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


class _PlaceOrMore:
    """The schema of the admin listener, which its place alone may stand for."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [_ADDRESS_SCHEMA, {"type": "string", "pattern": "^unix:."}, handler(schema)]}


_AdminPlace: TypeAlias = Annotated[AdminListen, BeforeValidator(_admin), _PlaceOrMore()]
_ADMIN = AdminListen(address=Address("127.0.0.1", 9901))


class AdminOnly(Options):
    """What of a configuration one needs to ask the gateway that runs with it."""

    admin: _AdminPlace | None = Field(default=_ADMIN, description="See Configuration.")


class _OneOrMany:
    """The schema of a list of listeners, one of which may stand for the list."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        many = handler(schema)
        place = {"anyOf": [_ADDRESS_SCHEMA, {"type": "string", "pattern": "^unix:."}, many["items"]]}
        return {"anyOf": [*place["anyOf"], {**many, "items": place}]}


class EntryKeys(Options):
    """What every entry may carry beside its filter's own options."""

    name: Name | None = Field(
        default=None,
        description="Name of the entry, unique; made from the filter's name where absent. State is kept by it.",
    )
    when: When | None = Field(
        default=None, description="Only requests for which this condition holds; all where absent."
    )
    mode: Literal["enforce", "shadow", "off"] = Field(
        default="enforce",
        description="`enforce` the verdict, only record it (`shadow`), or leave the entry out (`off`).",
    )
    shadow_percent: float = Field(
        default=100.0, ge=0, le=100, description="Share of requests that an entry in shadow mode judges."
    )
    delegate: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of an entry in shadow mode: where it would have refused, tells the filters behind it and the upstream by "
        "X-Delegated, with this quality; `delegated` makes the refusal of it. The request waits for its verdict then. "
        "By default nobody but the record is told.",
    )

    @model_validator(mode="after")
    def _delegates_in_shadow(self) -> "EntryKeys":
        if self.delegate is not None and self.mode == "enforce":
            raise ValueError("delegate is for an entry in shadow mode")
        return self


class Entry(Options):
    """One filter in a chain, as it is configured.

    type     name of the filter
    name     name of this entry, unique in the configuration; made from the type where none is given
    options  the filter's own options, an instance of its Config
    path     where the entry's options stand, for Marks: ("filters", 1, "rate_limit")
    """

    type: str
    name: Name
    when: When | None = None
    mode: Literal["enforce", "shadow", "off"] = "enforce"
    shadow_percent: float = 100.0
    delegate: float | None = None
    options: SerializeAsAny[BaseModel]
    path: tuple[str | int, ...] = ()


Chain: TypeAlias = Annotated[tuple[Entry, ...], BeforeValidator(_absent)]


class UpstreamTimeouts(Section):
    """How long the gateway waits for an upstream."""

    connect: Duration = Field(
        default=5.0, description="Making a connection: looking up the name, connecting, the TLS handshake."
    )
    first_byte: Duration = Field(
        default=60.0, description="From the request sent to the first byte of the answer."
    )
    idle: Duration = Field(default=60.0, description="Between two pieces of the answer.")
    total: Duration = Field(
        default=300.0, description="The whole exchange with the upstream, every retry included."
    )


class UpstreamTls(Section, TlsOptions):
    """How https endpoints are spoken to. Their certificates are always verified."""

    server_name: Annotated[str, AfterValidator(_server_name)] | None = Field(
        default=None,
        description="The name that is asked for (SNI) and that the certificate must be for; the endpoint's host where "
        "absent, be it a name or an address.",
    )
    minimum: TlsVersion = Field(default="1.2", description="The oldest version of TLS that is spoken.")


class UpstreamEndpoint(Options):
    """One server of an upstream, and its part of the requests."""

    url: EndpointURL = Field(
        description="http://host:port, https://host:port, or unix:///path for a socket of this host."
    )
    weight: int = Field(
        default=1, ge=1, le=1000, description="Its part of the requests, beside those of the other endpoints."
    )


def _endpoint(value: object) -> object:
    """What is written short stands for an endpoint with nothing but its URL."""
    if isinstance(value, (dict, UpstreamEndpoint)):
        return value
    return UpstreamEndpoint(url=parse_endpoint(value))


class _UrlOrMapping:
    """The schema of an endpoint, which may be its URL alone."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [_URL_SCHEMA, handler(schema)]}


Endpoints: TypeAlias = Annotated[
    tuple[Annotated[UpstreamEndpoint, BeforeValidator(_endpoint), _UrlOrMapping()], ...], Field(min_length=1)
]


class Canary(Options):
    """Endpoints that take a share of the requests apart, such as those of a version that is tried out."""

    endpoints: Endpoints = Field(description="Its servers, written like those of the upstream.")
    percent: float = Field(ge=0, le=100, description="Its share of the requests.")
    sticky: bool = Field(
        default=False,
        description="Whether all requests with one value of `hash` are on one side; else each is cast anew. With a greater "
        "share, those that are there stay.",
    )


class Health(Options):
    """Checks of endpoints: each is asked again and again whether it is well.

    The first check counts alone, and is waited for before requests come, 5 s at the most.
    """

    path: Annotated[str, AfterValidator(_path)] = Field(description="What is asked for, by GET.")
    host: Annotated[str, AfterValidator(_check_host)] | None = Field(
        default=None, description="The Host field of the check; the endpoint's own where absent."
    )
    status: Annotated[tuple[Statuses, ...], Field(min_length=1)] = Field(
        default=("200-399",), description="Statuses of one that is well, such as 204 or 200-299."
    )
    interval: Duration = Field(default=10.0, ge=0.01, description="From the end of a check to the next.")
    jitter: float = Field(
        default=10.0,
        ge=0,
        le=100,
        description="By how many percent of it an interval may be longer or shorter, so that gateways do not check in step.",
    )
    timeout: Duration = Field(default=2.0, gt=0, description="How long a check may take.")
    healthy: int = Field(
        default=2, ge=1, le=100, description="Good checks in a row after which an endpoint is used again."
    )
    unhealthy: int = Field(
        default=3, ge=1, le=100, description="Bad checks in a row after which it is not used any more."
    )


class Ejection(Section):
    """When an endpoint that fails requests is left out for a while."""

    failures: int = Field(default=5, ge=1, le=10_000, description="Failures in a row that it takes.")
    time: Duration = Field(
        default=30.0,
        gt=0,
        description="How long it is left out the first time; the second time twice as long, the third three times.",
    )
    max_time: Duration = Field(
        default=300.0,
        gt=0,
        description="The longest that it is left out. After as long without another ejection, `time` holds again.",
    )
    max_ejected_percent: float = Field(
        default=50.0,
        ge=0,
        le=100,
        description="Share of the upstream's endpoints that may be left out at once, rounded down: one of three by "
        "default, and never an only one.",
    )

    @model_validator(mode="after")
    def _times_agree(self) -> "Ejection":
        if self.max_time < self.time:
            raise ValueError("max_time is shorter than time")
        return self


class Breaker(Section):
    """When too many requests fail, none are sent for a while; then a few that show whether to go on."""

    percent: float = Field(default=50.0, gt=0, le=100, description="Share of requests that have to fail.")
    requests: int = Field(
        default=20, ge=1, le=1_000_000, description="Requests in the window below which it stays closed."
    )
    window: Duration = Field(default=10.0, ge=0.01, description="How far back requests are counted.")
    open: Duration = Field(default=10.0, gt=0, description="How long nothing is sent.")
    probes: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Requests that are sent then, all of which have to succeed; the first that fails opens it again.",
    )


class Breakers(Options):
    """Circuit breakers of an upstream."""

    endpoint: Breaker | None = Field(
        default=None, description="One for each endpoint; while it is open, requests go to the others."
    )
    pool: Breaker | None = Field(
        default=None, description="One for all together; while it is open, requests are answered 503."
    )

    @model_validator(mode="before")
    @classmethod
    def _written_but_empty(cls, value: object) -> object:
        """An empty block stands for the defaults of a breaker, as everywhere."""
        if isinstance(value, dict):
            return {key: {} if item is None else item for key, item in value.items()}
        return value

    @model_validator(mode="after")
    def _is_one(self) -> "Breakers":
        if self.endpoint is None and self.pool is None:
            raise ValueError("expected endpoint, pool, or both")
        return self


class Upstream(Options):
    """One service behind the gateway."""

    endpoints: Endpoints = Field(
        description="Servers of the service, each http://host:port, https://host:port, or unix:///path for a socket "
        "of this host; or a mapping that says more.",
    )
    balance: Literal["round_robin", "least_request", "consistent_hash"] = Field(
        default="round_robin",
        description="Which endpoint a request goes to: the next in turn; of two drawn by lot the one with fewer requests in "
        "progress; or by `hash` always the same, of whose requests none move when others come or go.",
    )
    hash: Annotated[str, AfterValidator(_hash)] | None = Field(
        default=None,
        description="What consistent_hash and a sticky canary go by: project_id or user_id of the principal, client_ip, "
        "header:NAME, or param:NAME of the route's path. A request without it goes the way of round_robin.",
    )
    canary: Canary | None = Field(default=None, description="Endpoints that take a share apart.")
    health: Health | None = Field(default=None, description="Checks of endpoints; none where absent.")
    gateway_errors: tuple[Annotated[int, Field(ge=400, le=599)], ...] = Field(
        default=(502, 503, 504),
        description="Statuses of answers that are failures of the endpoint, for `ejection` and `breaker`; beside "
        "connections that cannot be made, break off or take too long, and answers that are no HTTP.",
    )
    ejection: Ejection | None = Field(
        default=None, description="Leaving out an endpoint that fails; never where absent."
    )
    slow_start: Duration = Field(
        default=0.0,
        description="How long the share of an endpoint that has come back rises, from a tenth to the whole.",
    )
    panic_percent: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="When less than this share of the endpoints is left by `health` and `ejection`, all are used as if they "
        "were well: rather a try than no answer. By default only when none is left; 0 is never, and requests are "
        "answered 503.",
    )
    breaker: Breakers | None = Field(default=None, description="Circuit breakers; none where absent.")
    max_connections: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Connections to each endpoint, and so requests in progress, of each worker; no limit where null.",
    )
    max_pending: int = Field(
        default=100,
        ge=0,
        le=1_000_000,
        description="Requests that may wait for one of the `max_connections`, of all endpoints together; beyond: 503.",
    )
    pending_timeout: Duration = Field(
        default=1.0, gt=0, description="How long a request waits for a connection; then 503."
    )
    host: Annotated[str, AfterValidator(_upstream_host)] = Field(
        default="keep",
        description="The Host field that the upstream sees: `keep` the client's, `upstream` for the endpoint's own "
        "(without the scheme's own port; `localhost` for a socket), or a name.",
    )
    tls: UpstreamTls | None = Field(
        default=None,
        description="How https endpoints are spoken to. Files are relative to the configuration's "
        "directory, and read when it is loaded.",
    )
    resolve: Duration = Field(
        default=30.0,
        description="How long the addresses of a name are used before it is looked up again. Connections to addresses "
        "that it no longer has are not used again.",
    )
    timeouts: UpstreamTimeouts = Field(default=UpstreamTimeouts(), description="How long to wait.")
    keepalive: Duration = Field(
        default=55.0,
        description="How long an unused connection is kept; shorter than the upstream's own idle time.",
    )
    max_idle: int = Field(
        default=256, ge=0, description="How many unused connections are kept for each endpoint."
    )
    retries: Retries | None = Field(
        default=None,
        description="When a request is sent again: these rules then decide also where no connection can be made. "
        "Where absent: when no connection can be made, once to each endpoint that is not known to be out of reach, and when a "
        "connection that was kept turns out to be closed.",
    )
    concurrency: Concurrency | None = Field(
        default=None, description="How many requests are under way at once; no limit where absent."
    )
    mirror: Mirror | None = Field(
        default=None, description="A second upstream that gets copies of requests; none where absent."
    )

    _no_empty_traffic_block = field_validator("retries", "concurrency", "mirror", mode="before")(_not_empty)

    _no_empty_block = field_validator("canary", "health", "breaker", mode="before")(_not_empty)

    @field_validator("ejection", mode="before")
    @classmethod
    def _defaults_where_empty(cls, value: object) -> object:
        return {} if value is None else value

    @property
    def servers(self) -> tuple[UpstreamEndpoint, ...]:
        """All endpoints, those of the canary last."""
        return (*self.endpoints, *self.canary.endpoints) if self.canary is not None else self.endpoints

    @model_validator(mode="after")
    def _agrees(self) -> "Upstream":
        servers = self.servers
        if self.tls is not None and not any(server.url.scheme == "https" for server in servers):
            raise ValueError("tls is for https endpoints, and there is none")
        seen: set[str] = set()
        for server in servers:
            if server.url.address in seen:
                raise ValueError(f"{server.url.address} is listed twice: give it a weight")
            seen.add(server.url.address)
        sticky = self.canary is not None and self.canary.sticky
        if self.hash is None and (self.balance == "consistent_hash" or sticky):
            raise ValueError(f"{'a sticky canary' if sticky else 'consistent_hash'} needs hash")
        if self.hash is not None and self.balance != "consistent_hash" and not sticky:
            raise ValueError("hash is for consistent_hash or a sticky canary")
        for option in ("max_pending", "pending_timeout"):
            if option in self.model_fields_set and self.max_connections is None:
                raise ValueError(f"{option} is for max_connections")
        if self.slow_start and self.health is None and self.ejection is None:
            raise ValueError("slow_start is for health or ejection")
        return self


class RecordedBodies(Options):
    """What the records of a route hold of bodies. They are told without what is secret, and never held up for that."""

    request_body: ExcerptSize = Field(
        default=0, description="Bytes of the request body, from its beginning; at most 64KiB."
    )
    response_body: ExcerptSize = Field(
        default=0, description="Bytes of the answer's body, from its beginning; at most 64KiB."
    )
    redact: tuple[JsonPath, ...] = Field(
        default=(),
        description="Paths into JSON that lead to what is secret, beside members that are named as passwords and tokens are: "
        "`$.a['b'][0][*]`, `$..name`. A body that is not whole in the record, or no JSON, is then left out.",
    )
    types: Annotated[tuple[MediaType, ...], Field(min_length=1)] = Field(
        default=("application/json",), description="Media types of the bodies; `text/*` for all of that kind."
    )


class Route(Options):
    """Which requests go to which upstream, and through which filters."""

    name: Name = Field(description="Name of the route, unique; records and metrics carry it.")
    path: Annotated[str, AfterValidator(_template)] = Field(
        description="Path template. `{name}` stands for one whole segment, `{name*}` at the end for all that is left; "
        "a trailing slash is another path."
    )
    host: Annotated[str, AfterValidator(_route_host)] | None = Field(
        default=None,
        description="Only requests for this host, or for those below `*.example.com`; any host where absent.",
    )
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="Only these methods; any method where absent. Other methods are answered 405.",
    )
    upstream: str = Field(description="Name of the upstream.")
    filters: Chain = Field(
        default=(), description="Filters of this route, run after the global ones, in this order."
    )
    target: Literal["strict", "lenient"] = Field(
        default="strict",
        description="`strict` refuses a request target that two readers could read as two paths; `lenient` forwards it.",
    )
    upgrade: tuple[UpgradeProtocol, ...] = Field(
        default=(),
        description="Protocols that a client may switch its connection to, such as `websocket`; then all bytes pass both "
        "ways, and filters see none of them. An Upgrade to another is dropped, and the request is one like any other. "
        "Never `h2c`: it carries requests.",
    )
    concurrency: Concurrency | None = Field(
        default=None,
        description="How many requests of this route are under way at once; no limit but the upstream's where absent.",
    )
    mirror: Mirror | None = Field(
        default=None,
        description="A second upstream that gets copies of this route's requests, in place of the upstream's own `mirror`.",
    )

    record: RecordedBodies | None = Field(
        default=None, description="What records hold of bodies; nothing where absent."
    )

    _no_empty_traffic_block = field_validator("concurrency", "mirror", "record", mode="before")(_not_empty)


class Limits(Section):
    """What is refused before any filter runs."""

    header_count: int = Field(
        default=128, ge=1, le=10_000, description="Header fields of a request; beyond: 431."
    )
    header_size: Size = Field(
        default=64 << 10, description="All header fields of a request together; beyond: 431."
    )
    field_size: Size = Field(default=16 << 10, description="One header field of a request; beyond: 431.")
    target_length: Size = Field(default=8 << 10, description="The request target; beyond: 414.")
    body: Size | None = Field(
        default=None,
        description="A request body by its Content-Length, or by its size where it is chunked and has come with its head; beyond: "
        "413. Another that is chunked is not limited. No limit where null, since images are large: "
        "the filter body_size limits a route.",
    )
    pipeline: int = Field(
        default=8, ge=1, le=1000, description="Requests of one connection that may wait for their turn."
    )
    connections: int | None = Field(
        default=None,
        ge=1,
        description="Client connections at once, of each worker; one that is beyond is reset before anything of it is read. No limit "
        "but the number of files that the process may open where null.",
    )
    connections_per_client: int | None = Field(
        default=None,
        ge=1,
        description="The same for the connections of one address, or of one /64 network of IPv6. Trusted proxies are "
        "exempt, since they speak for many clients. No limit where null: many clients may share one address.",
    )


class ClientTimeouts(Section):
    """How long the gateway waits for a client."""

    header: Duration = Field(
        default=10.0, description="From the first byte of a request to the end of its header; then 408."
    )
    body: Duration = Field(
        default=30.0,
        description="Between two pieces of a request body; one that a filter reads whole has ten times as long "
        "in all. Then 408.",
    )
    idle: Duration = Field(default=75.0, description="A connection without a request; then it is closed.")
    tunnel: Duration = Field(
        default=300.0,
        description="A tunnel (see `routes.upgrade`) in which nothing moves, either way; then it is cut.",
    )
    linger: Duration = Field(
        default=2.0, description="Reading on after an answer that came before the end of the request body."
    )


class Via(Section):
    """The Via field (RFC 9110 section 7.6.3) and the loop check that stands on it."""

    pseudonym: Annotated[str, AfterValidator(_pseudonym)] | None = Field(
        default=None,
        description="Name of this gateway; `weir-` and 8 hexadecimal digits of the host's id where null.",
    )
    comment: bool = Field(default=True, description="Name the software and its version in a comment.")
    max_hops: int = Field(
        default=1, ge=1, le=100, description="How often a request may have passed this gateway; beyond: 508."
    )


class Export(Options):
    """What a collector is sent by OTLP over HTTP, and how."""

    endpoint: CollectorAddress = Field(description="URL of the collector.")
    headers: dict[HeaderName, Secret] = Field(
        default={},
        description="Header fields of the requests to the collector, a token for it, say.",
    )
    ca: File | None = Field(
        default=None,
        description="File of the authorities that an https collector's certificate may come from, in place of the "
        "system's.",
    )
    compression: Literal["none", "gzip"] = Field(
        default="none", description="Whether what is sent to the collector is compressed."
    )
    service_name: str = Field(
        default="weir", min_length=1, max_length=255, description="Name of the gateway at the collector."
    )
    resource: dict[str, str] = Field(
        default={},
        description="More that is said of the gateway, such as `deployment.environment.name: production`.",
    )
    timeout: Duration = Field(
        default=10.0, gt=0, description="How long one request to the collector may take."
    )
    queue: int = Field(default=4096, ge=1, le=1_000_000, description="What may wait to be sent.")

    _headers_can_travel = field_validator("headers")(_sendable)


class LogExport(Export):
    """The request log's records, sent to a collector by OTLP over HTTP."""

    endpoint: LogCollectorAddress = Field(
        description="URL that the collector takes logs at; without a path `/v1/logs`."
    )
    queue: int = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="Records that may wait to be sent; beyond, they are counted and dropped.",
    )


class Redact(Section):
    """What is secret in records and spans, beside what is by its name: tokens, cookies, passwords and their like.

    Regular expressions for whole names, of any case. What is known to be secret is left out wherever else the same request has it.
    """

    headers: tuple[PathRegex, ...] = Field(
        default=(), description="Regular expressions for names of header fields, `x-tenant-.*`, say."
    )
    query: tuple[PathRegex, ...] = Field(
        default=(), description="Regular expressions for keys in queries, `email`, say."
    )
    params: tuple[PathRegex, ...] = Field(
        default=(),
        description="Regular expressions for names of path parameters, `user_.*`, say; a path that fits no route has none.",
    )


class Sample(Section):
    """Which records are kept. Those of refusals, failures and slow exchanges always are, and metrics count all."""

    passed: Share = Field(
        default=1.0,
        description="Share of the records of exchanges that were forwarded at the first attempt, answered below 400, not minded by a filter in "
        "shadow, and not slow. Which ones goes by the trace's id, or the request's, so that gateways behind each other keep the same; "
        "with the same `hash_key`, if any. `gateway.sample` in a record that was kept by chance says the share.",
    )
    slow: Duration = Field(
        default=1.0, gt=0, description="How long an exchange takes that is slow, and whose record is kept."
    )


class LogCopy(Options):
    """A further file of the request log, in another form."""

    path: str = Field(min_length=1, description="The file; `-` is standard output.")
    format: Annotated[str, AfterValidator(_line_form)] = Field(
        description='`combined` (Apache\'s), `ecs` (JSON by the Elastic Common Schema), or a format such as `%h %t "%r" %s %D`: '
        "the codes a, b, B, D, g, h, H, i, l, m, M, p, q, r, s, t, T, u, U and v of Apache and of Repose's http-logging.",
    )
    max_size: Size = Field(
        default=100 << 20, description="Size at which the file is rotated; 0 never rotates."
    )
    max_files: int = Field(default=5, ge=0, le=1000, description="How many rotated files are kept.")

    @property
    def headers(self) -> frozenset[str]:
        """Request header fields that it tells of, lower case."""
        return LineFormat.headers_of(self.format)


class Log(Section):
    """The request log: one JSON record a line."""

    path: str | None = Field(
        default="-", min_length=1, description="File of the log; `-` is standard output, null writes none."
    )
    max_size: Size = Field(
        default=100 << 20, description="Size at which the file is rotated; 0 never rotates."
    )
    max_age: Annotated[Duration, Field(gt=0)] | None = Field(
        default=None,
        description="Time after the file's first record after which it is rotated, such as 1d; null never rotates it for "
        "its age.",
    )
    max_files: int = Field(default=5, ge=0, le=1000, description="How many rotated files are kept.")
    compress: Literal["zstd", "gzip"] | None = Field(
        default=None,
        description="How rotated files are compressed, by a process of low priority; null leaves them as they are. "
        "`zstd` needs the extra `logs`.",
    )
    sidecars: bool = Field(
        default=True,
        description="Make a Parquet file of the searchable columns beside each rotated file, where the extra `logs` is "
        "installed: `weir logs` answers fast by them.",
    )
    queue: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description="Records that may wait to be written; beyond, they are counted and dropped.",
    )
    marks: Duration = Field(
        default=60.0,
        ge=0,
        description="How often each worker says in a line of kind `mark` that none of its records up to then is missing, at most, and "
        "only where any worker has recorded something since its last one: a gateway without requests writes none. "
        "`weir backtest` knows by it that nothing was counted since the last record of a worker; 0 writes none.",
    )
    hash_key: Secret | None = Field(
        default=None,
        description="Key of the hashes that stand for secrets in records; null makes a new one at each start, "
        "so that hashes of two runs cannot be compared; an upgrade by SIGUSR2 keeps it.",
    )
    otlp: LogExport | None = Field(
        default=None,
        description="Sends every record to a collector of OpenTelemetry too; needs the extra `otel`. Null sends none.",
    )

    _no_empty_block = field_validator("otlp", mode="before")(_not_empty)
    sample: Sample = Field(default=Sample(), description="Which records are kept.")
    copies: tuple[LogCopy, ...] = Field(
        default=(),
        description="Further files with the same records, in other forms. They have no secrets either.",
    )
    redact: Redact = Field(
        default=Redact(),
        description="What is secret, beside what always is; regular expressions for whole names, of any case.",
    )

    @model_validator(mode="after")
    def _files_of_their_own(self) -> "Log":
        paths = [self.path, *(copy.path for copy in self.copies)]
        for place, path in enumerate(paths):
            if path is not None and path in paths[:place]:
                raise ValueError(f"two of its files are {path}")
        return self


class Tracing(Export):
    """Traces by the conventions of OpenTelemetry, sent to a collector by OTLP over HTTP."""

    endpoint: CollectorAddress = Field(
        description="URL that the collector takes traces at; without a path `/v1/traces`."
    )
    sample: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the traces that begin here which is exported. A trace that a believed client has begun is "
        "exported if the client says so.",
    )
    trust: Literal["always", "trusted_proxies", "never"] = Field(
        default="always",
        description="Whose `traceparent` is believed: every client's, that of `trusted_proxies`, or nobody's. Where it "
        "is not, a new trace begins, with a link to what the client said.",
    )
    queue: int = Field(
        default=4096,
        ge=1,
        le=1_000_000,
        description="Exchanges whose spans may wait to be sent; beyond, they are counted and dropped.",
    )


class TraceAllow(Options):
    """Who may ask where the time of a request goes."""

    networks: tuple[Source, ...] = Field(
        default=(),
        description="Anybody whose address is in these networks; `unix` for those who come through a Unix socket.",
    )
    roles: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Anybody who has one of these roles, once a filter knows; case is ignored."
    )

    @model_validator(mode="after")
    def _somebody(self) -> "TraceAllow":
        if not self.networks and not self.roles:
            raise ValueError("needs networks or roles")
        return self


class RequestTrace(Options):
    """Requests whose answer says where the time went (Server-Timing), and whose record is always kept."""

    allow: TraceAllow = Field(description="Who may ask; what others ask is ignored.")
    header: HeaderName = Field(
        default="X-Trace-Request",
        description="Header field that asks when it says `true`. It is never forwarded.",
    )


class Configuration(Options):
    """A whole configuration."""

    listen: Annotated[
        tuple[Annotated[Listen, BeforeValidator(_listen)], ...],
        Field(min_length=1),
        BeforeValidator(_listed),
        _OneOrMany(),
    ] = Field(
        default=(Listen(address=Address("127.0.0.1", 8080)),),
        json_schema_extra={"default": "127.0.0.1:8080"},
        description="Where the gateway listens: host:port, unix:PATH, or a mapping that says more; or a list of them.",
    )
    admin: _AdminPlace | None = Field(
        default=_ADMIN,
        json_schema_extra={"default": "127.0.0.1:9901"},
        description="The admin listener (health, metrics, what is in force, reload): host:port, unix:PATH, or a mapping "
        "that says more; null opens none.",
    )
    upstreams: dict[Name, Upstream] = Field(
        min_length=1, description="The services behind the gateway, by name."
    )
    filters: Chain = Field(default=(), description="Filters of every request, in this order.")
    routes: tuple[Route, ...] = Field(
        min_length=1, description="Which requests go where; the most specific path wins, whatever the order."
    )
    priority: tuple[PriorityClass, ...] = Field(
        default=(),
        description="Classes of requests, the highest first: who goes first where a `concurrency` makes requests wait. A "
        "request is of the first class that fits it; one that fits none is of the lowest.",
    )
    limits: Limits = Field(default=Limits(), description="What is refused before any filter runs.")
    timeouts: ClientTimeouts = Field(default=ClientTimeouts(), description="How long to wait for a client.")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Processes that carry exchanges. Where null, one for each core that the service may use, by its affinity and "
        "a container's quota; but a single one while there is a limit that each counts alone: `limits.connections`, "
        "`limits.connections_per_client`, `max_connections`, `concurrency.limit` of a route or an upstream, or a filter of a "
        "third party that counts what only its own process sees. More with such a limit are warned of. Another number takes a "
        "restart.",
    )
    watch: Duration = Field(
        default=0.0,
        description="How often the file is looked at for changes, and with it the overrides of `rate_limit`; they are put in "
        "force like those of a reload; 0 never.",
    )
    drain_delay: Duration = Field(
        default=0.0,
        description="How long a gateway that is told to stop goes on accepting connections, so that balancers can see "
        "that it is not ready; every answer ends its connection by then.",
    )
    drain_timeout: Duration = Field(
        default=30.0, description="How long a stopping gateway then waits for exchanges in progress."
    )
    via: Via = Field(default=Via(), description="The Via field and the loop check.")
    forwarded: Literal["off", "x", "rfc7239", "both"] = Field(
        default="x",
        description="What the upstream is told of the client: `x` X-Forwarded-For, -Proto and -Host, `rfc7239` "
        "Forwarded, `both`, or nothing.",
    )
    trusted_proxies: Annotated[tuple[Source, ...], BeforeValidator(_absent)] = Field(
        default=(),
        description="Networks of proxies in front whose word on the client's address is taken; `unix` for those "
        "that connect through a Unix socket.",
    )
    faults: Literal["compute", "keystone", "errors", "problem"] = Field(
        default="compute",
        description="Form of the gateway's own error answers: `compute` as OpenStack Compute, `keystone` as OpenStack "
        "Identity, `errors` as the API-SIG guideline (which python-novaclient cannot read), `problem` as RFC 9457.",
    )
    log: Log = Field(default=Log(), description="The request log.")
    tracing: Tracing | None = Field(
        default=None,
        description="Traces; none where absent, and then what clients say of theirs passes untouched. Needs the extra "
        "`otel`.",
    )

    trace: RequestTrace | None = Field(
        default=None,
        description="Tracing of single requests; without it a field that asks for that passes untouched.",
    )

    _no_empty_block = field_validator("tracing", "trace", mode="before")(_not_empty)


__all__ = [
    "Address",
    "AdminListen",
    "AdminOnly",
    "Breaker",
    "Breakers",
    "Canary",
    "Chain",
    "ClientTimeouts",
    "CollectorURL",
    "Configuration",
    "Ejection",
    "Endpoint",
    "Entry",
    "EntryKeys",
    "Export",
    "Health",
    "Limits",
    "Listen",
    "ListenTLS",
    "Log",
    "LogCopy",
    "LogExport",
    "Network",
    "Place",
    "ProxyProtocol",
    "RecordedBodies",
    "Redact",
    "RequestTrace",
    "Route",
    "Sample",
    "Section",
    "Source",
    "TraceAllow",
    "Tracing",
    "UnixAddress",
    "Upstream",
    "UpstreamEndpoint",
    "UpstreamTimeouts",
    "UpstreamTls",
    "Via",
    "admin_at",
    "listen_at",
    "parse_address",
    "parse_collector",
    "parse_endpoint",
    "parse_place",
    "parse_share",
]
