"""Refuses a request body whose media type is not among those allowed: 415 (RFC 9110 section 15.5.16).

A request without a body is not judged. Parameters such as charset make no difference. A body without a
Content-Type, with one that is no media type, or with two, matches nothing but `*/*`.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.api import Exchange, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import LENGTH, header
from gateway.http.media import media_type


def _media_range(text: str) -> str:
    kind = media_type(text)  # an asterisk is a token's character: ranges parse as types do
    if kind is None or kind != text.strip().lower():
        raise ValueError(f"{text!r} is not a media type without parameters, such as application/json")
    main, _, sub = kind.partition("/")
    if "*" in kind and kind != "*/*" and ("*" in main or sub != "*"):
        raise ValueError(f"{text!r} is not a range of media types, such as application/*")
    return kind


class ContentTypeConfig(Options):
    allow: tuple[Annotated[str, AfterValidator(_media_range)], ...] = Field(
        min_length=1,
        description="Media types that pass, such as application/json or application/*, without parameters. "
        "*/* passes every body, also one without a Content-Type.",
    )


class ContentType(Filter[ContentTypeConfig]):
    name = "content_type"
    Config = ContentTypeConfig
    access = {"allow": "more"}
    reads = frozenset({LENGTH, header("content-type")})

    def __init__(self, config: ContentTypeConfig, services: Services) -> None:
        super().__init__(config, services)
        accept = ", ".join(dict.fromkeys(config.allow))
        self._everything = "*/*" in config.allow
        self._allowed = frozenset(config.allow)
        self._refusal = Fault(
            415,
            "content_type_unsupported",
            "Unsupported Content-Type.",
            rule=("allow",),
            headers=(("Accept", accept),),
            details=f"Accepted here: {accept}.",
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        if self._everything or exchange.request.body.length == 0:
            return None
        values = exchange.request.headers.all("content-type")
        if len(values) == 1:
            kind = media_type(values[0])
            if kind is not None and (kind in self._allowed or f"{kind.partition('/')[0]}/*" in self._allowed):
                return None
        return self._refusal
