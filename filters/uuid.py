"""Refuses a request whose path parameters are not UUIDs in canonical form, 36 characters in lower case.

The documented answer to a malformed identifier is 400; OpenStack's own services answer 404. The form is
that of RFC 9562 section 4. In an entry for all routes, a parameter that the matched route does not have is not judged.
"""

from typing import Literal

from pydantic import Field

from gateway.api import Exchange, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import PARAMS


class UUIDConfig(Options):
    params: tuple[str, ...] = Field(
        min_length=1, description="Names of the path parameters that must be UUIDs, such as image_id."
    )
    version: Literal["any", 1, 2, 3, 4, 5, 6, 7, 8] = Field(
        "any",
        description="The version that the UUID must have, 1 to 8; any passes all, also those outside the "
        "versioned layout.",
    )
    status: Literal[400, 404] = Field(
        400, description="Status of the refusal: 400, or 404 to answer as OpenStack's services do."
    )
    lenient: bool = Field(
        False,
        description="Passes upper case and mixed case too, for clients that send them; the form with four "
        "dashes is still required, and the path travels as it came.",
    )


def _table(digits: bytes) -> bytes:
    """Maps every digit to 0, the dash to itself, and any other byte to one that no UUID has."""
    return bytes(0x30 if byte in digits else 0x2D if byte == 0x2D else 0x00 for byte in range(256))


_CANONICAL = _table(b"0123456789abcdef")
_LENIENT = _table(b"0123456789abcdefABCDEF")
_SHAPE = b"00000000-0000-0000-0000-000000000000"
_VARIANT = "89abAB"  # the only layout in which the version digit means a version: RFC 9562 section 4.1


class UUID(Filter[UUIDConfig]):
    name = "uuid"
    Config = UUIDConfig
    access = {"params": "fewer", "status": "none", "lenient": "more"}
    only_refuses = True
    reads = frozenset({PARAMS})

    def __init__(self, config: UUIDConfig, services: Services) -> None:
        super().__init__(config, services)
        self.params = {param: ("params", place) for place, param in enumerate(config.params)}
        self._table = _LENIENT if config.lenient else _CANONICAL
        self._version = None if config.version == "any" else str(config.version)
        form = "a UUID" if config.version == "any" else f"a version {config.version} UUID"
        if not config.lenient:
            form += " in canonical form"
        self._refusals = tuple(
            (
                param,
                Fault(
                    config.status,
                    "uuid_invalid",
                    "Resource not found."
                    if config.status == 404
                    else f"The path parameter {param} is not {form}.",
                    rule=("params", place),
                ),
            )
            for place, param in enumerate(config.params)
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        params = exchange.params
        version = self._version
        for param, refusal in self._refusals:
            value = params.get(param)
            if value is None:
                continue
            # One pass in C over the bytes: half the time of a regular expression.
            if not value.isascii() or value.encode().translate(self._table) != _SHAPE:
                return refusal
            if version is not None and (value[14] != version or value[19] not in _VARIANT):
                return refusal
        return None
