"""What is asked of a proxy: three workloads on the image-metadata path, and the token that they carry."""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

import jwt

PROJECT_ID: Final = "8f0e4c1d2b7a4a55b6f1f2c0c9a7d3e1"
IMAGE_ID: Final = "70a599e0-31e7-49b7-b260-868f441e862b"
PATH: Final = f"/v2/{PROJECT_ID}/images/{IMAGE_ID}/metadata"
ALLOWED: Final = ("GET", "HEAD", "POST", "PUT")
"""Methods that the policy lets through."""

BODY_MAX: Final = 112 * 1024
ANSWER_SIZE: Final = 870
ISSUER: Final = "bench"
AUDIENCE: Final = "compute"
KEY_ID: Final = "bench"
_TOKEN_LIFE: Final = 86_400


def answer() -> bytes:
    """The upstream's answer: image metadata, `ANSWER_SIZE` bytes of JSON."""
    items = {f"key_{number:02}": f"value-{IMAGE_ID}" for number in range(14)}
    text = json.dumps({"metadata": {**items, "pad": ""}})
    return json.dumps({"metadata": {**items, "pad": "x" * (ANSWER_SIZE - len(text))}}).encode("ascii")


def _metadata_to_set() -> bytes:
    return json.dumps({"metadata": {"ImageType": "Gold", "ImageVersion": "1.5", "pad": "y" * 512}}).encode()


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request, sent over and over.

    status  what every answer must have; from 400 on, the proxy refuses and the upstream is not asked
    """

    name: str
    title: str
    method: str
    status: int
    body: bytes = b""

    @property
    def refused(self) -> bool:
        return self.status >= 400

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json"} if self.body else {}


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("W1", f"GET, answered by the upstream with {ANSWER_SIZE} bytes", "GET", 200),
        Workload("W2", "POST of image metadata, answered by the upstream", "POST", 200, _metadata_to_set()),
        Workload("W3", "DELETE, refused by the proxy with 405", "DELETE", 405),
    )
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A shared secret of this run, as every proxy that verifies the token is given it."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(40), repr=False)

    @property
    def jwk(self) -> dict[str, str]:
        encoded = base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode("ascii")
        return {"kty": "oct", "alg": "HS256", "kid": KEY_ID, "k": encoded}

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "user-42",
            "project_id": PROJECT_ID,
            "roles": ["member", "reader"],
            "iat": now,
            "exp": now + _TOKEN_LIFE,
        }
        return jwt.encode(claims, self.secret, algorithm="HS256", headers={"kid": KEY_ID})
