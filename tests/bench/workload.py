"""What is asked of a proxy: workloads on the paths of an image, and the token that they carry."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import jwt

PROJECT_ID: Final = "8f0e4c1d2b7a4a55b6f1f2c0c9a7d3e1"
IMAGE_ID: Final = "70a599e0-31e7-49b7-b260-868f441e862b"
METADATA: Final = "metadata"
FILE: Final = "file"
"""The image itself, beside its metadata: what is sent up and down in whole."""

ALLOWED: Final = ("GET", "HEAD", "POST", "PUT")
"""Methods that the policy lets through."""

BODY_MAX: Final = 112 * 1024
ANSWER_SIZE: Final = 870
UPLOAD_SIZE: Final = 1 << 20
DOWNLOAD_SIZE: Final = 10 << 20
ISSUER: Final = "bench"
AUDIENCE: Final = "compute"
KEY_ID: Final = "bench"
_TOKEN_LIFE: Final = 86_400


def answer() -> bytes:
    """The upstream's answer: image metadata, `ANSWER_SIZE` bytes of JSON."""
    items = {f"key_{number:02}": f"value-{IMAGE_ID}" for number in range(14)}
    text = json.dumps({"metadata": {**items, "pad": ""}})
    return json.dumps({"metadata": {**items, "pad": "x" * (ANSWER_SIZE - len(text))}}).encode("ascii")


def received(size: int) -> bytes:
    """The upstream's answer to an upload, once all of it has arrived."""
    return b'{"received": %d}' % size


def download() -> bytes:
    """The upstream's answer to a GET of the image."""
    return bytes(range(256)) * (DOWNLOAD_SIZE // 256)


def _metadata_to_set() -> bytes:
    return json.dumps({"metadata": {"ImageType": "Gold", "ImageVersion": "1.5", "pad": "y" * 512}}).encode()


def path(leaf: str) -> str:
    """The request target of what belongs to the image."""
    return f"/v2/{PROJECT_ID}/images/{IMAGE_ID}/{leaf}"


_BARE: Final = ("nginx", "envoy", "weir")
_POLICY: Final = ("nginx+policy", "envoy+policy", "envoy+policy+cache", "weir+policy")
ALL: Final = (_BARE[0], _POLICY[0], _BARE[1], *_POLICY[1:3], _BARE[2], _POLICY[3])
_INTERPRETED: Final = ("weir-py", "weir-py+policy")
CHAINS: Final = (1, 8, 30)
"""Filters in the chains whose cost is measured."""
LIMITS: Final = "limits"
INSPECTION: Final = "inspection"
SEEN, UNSEEN = "weir+seen", "weir+unseen"
"""The same policy, with all that tells of its requests and with nothing of it."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request, sent over and over.

    status       what every answer must have; from 400 on, the proxy refuses and the upstream is not asked
    answer       the body that the upstream answers with
    varying      name of a field whose value differs in every request, "" where all requests are alike
    connections  of the client, where the workload and not the run says how many
    subjects     names of those that are measured on it
    unit         what a figure is the cost of
    """

    name: str
    title: str
    method: str
    status: int
    body: bytes = field(default=b"", repr=False)
    answer: Callable[[], bytes] = answer
    leaf: str = METADATA
    varying: str = ""
    connections: int | None = None
    subjects: tuple[str, ...] = ALL
    unit: str = "request"

    @property
    def refused(self) -> bool:
        return self.status >= 400

    @property
    def path(self) -> str:
        return path(self.leaf)

    @property
    def headers(self) -> dict[str, str]:
        if not self.body:
            return {}
        return {"Content-Type": "application/json" if self.leaf == METADATA else "application/octet-stream"}


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload(
            "W1",
            f"GET, answered by the upstream with {ANSWER_SIZE} bytes",
            "GET",
            200,
            subjects=(*ALL, *_INTERPRETED),
        ),
        Workload(
            "W1v",
            "as W1, with a request id that differs in every request",
            "GET",
            200,
            varying="X-Openstack-Request-Id",
            subjects=_POLICY,
        ),
        Workload("W2", "POST of image metadata, answered by the upstream", "POST", 200, _metadata_to_set()),
        Workload("W3", "DELETE, refused by the proxy with 405", "DELETE", 405),
        Workload(
            "W4-up",
            "PUT of 1 MiB, answered when all of it has arrived",
            "PUT",
            200,
            b"0123456789abcdef" * (UPLOAD_SIZE // 16),
            answer=lambda: received(UPLOAD_SIZE),
            leaf=FILE,
            connections=4,
            subjects=_BARE,
            unit="transfer",
        ),
        Workload(
            "W4-down",
            "GET, answered by the upstream with 10 MiB",
            "GET",
            200,
            answer=download,
            leaf=FILE,
            connections=4,
            subjects=_BARE,
            unit="transfer",
        ),
        Workload(
            "filters",
            "as W1, through chains of filters that let everything pass",
            "GET",
            200,
            subjects=("weir", *(f"weir+{number}" for number in CHAINS)),
        ),
        Workload(
            LIMITS,
            "as W1, by four limits that let everything pass",
            "GET",
            200,
            subjects=tuple(name for bare in _BARE for name in (bare, f"{bare}+limits")),
        ),
        Workload(
            INSPECTION,
            "as W1, with the full policy, and all that tells of requests or nothing of it",
            "GET",
            200,
            subjects=(UNSEEN, SEEN),
        ),
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
