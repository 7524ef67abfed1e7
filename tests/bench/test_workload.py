import json

import jwt
import pytest

from tests.bench.subject import SUBJECTS
from tests.bench.workload import AUDIENCE, ISSUER, PROJECT_ID, WORKLOADS, SigningKey, answer


def test_answer_is_metadata_of_the_agreed_size() -> None:
    body = answer()
    assert len(body) == 870
    assert json.loads(body)["metadata"].keys() > {"key_00", "key_13"}


def test_token_is_what_the_key_verifies() -> None:
    key = SigningKey()
    claims = jwt.decode(key.token(), jwt.PyJWK(key.jwk), ["HS256"], issuer=ISSUER, audience=AUDIENCE)
    assert claims["project_id"] == PROJECT_ID


def test_two_runs_do_not_share_a_secret() -> None:
    assert SigningKey().secret != SigningKey().secret


@pytest.mark.parametrize(("name", "refused"), [("W1", False), ("W2", False), ("W3", True)])
def test_a_workload_knows_whether_it_is_refused(name: str, refused: bool) -> None:
    assert WORKLOADS[name].refused is refused


def test_a_workload_names_subjects_that_exist() -> None:
    for workload in WORKLOADS.values():
        assert set(workload.subjects) <= SUBJECTS.keys()


def test_large_bodies_are_as_large_as_they_are_called() -> None:
    up, down = WORKLOADS["W4-up"], WORKLOADS["W4-down"]
    assert len(up.body) == 1 << 20
    assert up.answer() == b'{"received": 1048576}'
    assert len(down.answer()) == 10 << 20
    assert up.path == down.path != WORKLOADS["W1"].path


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("W1", {}),
        ("W2", {"Content-Type": "application/json"}),
        ("W4-up", {"Content-Type": "application/octet-stream"}),
    ],
)
def test_a_body_has_a_type(name: str, headers: dict[str, str]) -> None:
    assert WORKLOADS[name].headers == headers
