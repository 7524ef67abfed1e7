import json

import jwt
import pytest

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
