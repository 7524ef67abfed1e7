"""What a request is known by."""

import pytest

from gateway.api.principal import Principal
from gateway.api.testing import exchange
from gateway.upstream.hash_key import key_reader


def test_the_principal_s_project_and_user() -> None:
    known = exchange(principal=Principal(user_id="u", project_id="p"))
    assert key_reader("project_id")(known) == b"p"
    assert key_reader("user_id")(known) == b"u"


@pytest.mark.parametrize("hash", ["project_id", "user_id", "header:x-shard", "param:image_id"])
def test_a_request_without_it_has_no_key(hash: str) -> None:
    read = key_reader(hash)
    assert read(exchange()) is None
    assert read(exchange(principal=Principal(user_id="", project_id=None), headers=[("X-Shard", "")])) is None


def test_a_header_a_path_parameter_and_the_client() -> None:
    known = exchange(headers=[("X-Shard", "caf\xe9")], params={"image_id": "\u00e9"})
    assert key_reader("header:x-shard")(known) == b"caf\xe9"
    assert key_reader("param:image_id")(known) == b"\xc3\xa9"
    assert key_reader("client_ip")(known) == known.client.encode()


def test_a_parameter_that_was_no_text_is_a_key_all_the_same() -> None:
    assert (
        key_reader("param:name")(exchange(params={"name": b"\xff".decode("utf-8", "surrogateescape")}))
        == b"\xff"
    )
