"""What is told of the configuration in force."""

from gateway.admin.service import described
from gateway.config.load import loads
from gateway.registry import Registry
from tests.support.gateway import configuration


def test_no_secret_is_in_it_nor_its_hash() -> None:
    text = configuration("http://127.0.0.1:1", log={"hash_key": "a-secret-of-ours"})
    loaded = loads(text, "gateway.yaml", registry=Registry())
    told = described(loaded, 1.5, {"error": "no"})
    assert told["revision"] == loaded.revision
    assert (told["file"], told["loaded_at"], told["last_error"]) == ("gateway.yaml", 1.5, {"error": "no"})
    assert told["configuration"]["log"]["hash_key"] == "**********"
    assert told["configuration"]["routes"][0]["path"] == "/{rest*}"


def test_what_the_environment_has_given_is_shown_as_it_is_written() -> None:
    text = configuration(
        "http://127.0.0.1:1",
        filters=[
            {"rate_limit": {"limits": [{"name": "a", "rate": "9/hour", "key": ["client_ip"]}]}},
            {"headers": {"request": {"set": {"X-Api-Key": "plain-in-the-file", "X-A": "${MINE}"}}}},
        ],
    )
    loaded = loads(text, "gateway.yaml", registry=Registry(), environment={"MINE": "of-the-environment"})
    told = described(loaded, 1.5, None)
    limit, headers = told["configuration"]["filters"]
    assert limit["options"]["limits"][0]["key"] == ["client_ip"]
    assert headers["options"]["request"]["set"] == {"X-Api-Key": "**********", "X-A": "${MINE}"}
    assert "of-the-environment" not in str(told)
