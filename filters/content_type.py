"""Refuses a request body whose media type is not among those allowed: 415 (RFC 9110 section 15.5.16).

A request without a body is not judged. Parameters such as charset make no difference. A body without a
Content-Type, with one that is no media type, or with two, matches nothing but `*/*`.
"""

from pydantic import Field, model_validator

from filters._media import MediaRange, is_among
from gateway.api import Exchange, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import LENGTH, header


class ContentTypeConfig(Options):
    allow: tuple[MediaRange, ...] | None = Field(
        None,
        min_length=1,
        description="Media types that pass, such as application/json or application/*, without parameters. "
        "*/* passes every body, also one without a Content-Type. Every body passes where unset.",
    )
    strip_without_body: bool = Field(
        False,
        description="Takes Content-Type from a request that is known to have no body: some upstreams answer it 415 or read a "
        "body that is not there.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> "ContentTypeConfig":
        if self.allow is None and not self.strip_without_body:
            raise ValueError("expected allow, strip_without_body, or both")
        return self

    def only_refuses(self) -> bool:
        return not self.strip_without_body


class ContentType(Filter[ContentTypeConfig]):
    name = "content_type"
    Config = ContentTypeConfig
    access = {"allow": "more"}
    only_refuses = True
    reads = frozenset({LENGTH, header("content-type")})

    def __init__(self, config: ContentTypeConfig, services: Services) -> None:
        super().__init__(config, services)
        allow = ("*/*",) if config.allow is None else config.allow
        accept = ", ".join(dict.fromkeys(allow))
        self._everything = "*/*" in allow
        self._allowed = frozenset(allow)
        self._refusal = Fault(
            415,
            "content_type_unsupported",
            "Unsupported Content-Type.",
            rule=("allow",),
            headers=(("Accept", accept),),
            details=f"Accepted here: {accept}.",
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        if exchange.request.body.length == 0:
            if self.config.strip_without_body:
                exchange.request.headers.remove("content-type")
            return None
        if self._everything:
            return None
        values = exchange.request.headers.all("content-type")
        return None if len(values) == 1 and is_among(values[0], self._allowed) else self._refusal
