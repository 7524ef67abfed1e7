"""Answers by itself, without an upstream: a mock, a notice of maintenance, or an echo of header fields to see what a request has.

`when` says for which requests. What is echoed is what the request has when it gets here, with what filters before have made of
it; credentials never are, whatever `echo` says.
"""

from pydantic import Field

from filters._media import MediaType
from filters._names import OWN_FIELDS, EditableName, FieldValue
from gateway.api import Exchange, Filter, Options, Response, Services, Verdict
from gateway.http.fields import folded
from gateway.http.secret import is_secret_header


class RespondConfig(Options):
    status: int = Field(200, ge=200, le=599, description="Status of the answer.")
    headers: dict[EditableName, FieldValue] = Field(
        {}, description="Header fields of the answer: name: value."
    )
    content_type: MediaType = Field(
        "text/plain; charset=utf-8", description="Media type of the body, where there is one."
    )
    body: str = Field("", description="Body of the answer.")
    echo: tuple[str, ...] = Field(
        (), description="Header fields of the request that the answer repeats; `*` is all that may be."
    )


class Respond(Filter[RespondConfig]):
    name = "respond"
    Config = RespondConfig
    access = {"headers": "none", "content_type": "none", "body": "none", "echo": "none"}

    def __init__(self, config: RespondConfig, services: Services) -> None:
        super().__init__(config, services)
        self._lines = [*config.headers.items()]
        if config.body:
            self._lines.append(("Content-Type", config.content_type))
        self._body = config.body.encode("utf-8")
        self._echoes = frozenset(name.lower().encode("latin-1", "replace") for name in config.echo)
        own = {name.lower().encode("ascii") for name in (*OWN_FIELDS, *config.headers, "Content-Type")}
        self._kept_back = own | {b"content-encoding"}

    def on_request(self, exchange: Exchange) -> Verdict:
        answer = Response(self.config.status, self._lines, self._body, rule=("status",))
        if self._echoes:
            for name, value in exchange.request.headers.raw:
                key = folded[name]
                if key in self._kept_back or is_secret_header(key.decode("latin-1")):
                    continue
                if key in self._echoes or b"*" in self._echoes:
                    answer.headers.add(name, value)
        return answer
