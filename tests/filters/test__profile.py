"""Profiles: what an upstream is told, by what it is used to."""

import pytest

from filters._identity import identity_fields, service_fields
from filters._profile import ProfileName, profile
from filters._repose import Repose, ReposeOptions
from gateway.api import Principal
from gateway.http.fields import Fields

ANNE = Principal(user_id="u1", user_name="anne", roles=("member",))


def lines(fields: Fields) -> list[tuple[bytes, bytes]]:
    return list(fields)


def test_openstack_reads_what_keystonemiddleware_sets() -> None:
    made = profile("keystonemiddleware", ReposeOptions(), "token_auth")
    assert lines(made.fields(ANNE, "[]")) == lines(identity_fields(ANNE, "[]"))
    assert lines(made.service_fields(ANNE)) == lines(service_fields(ANNE))
    assert lines(made.invalid(401, "No.")) == [(b"X-Identity-Status", b"Invalid")]
    assert lines(made.service_invalid) == [(b"X-Service-Identity-Status", b"Invalid")]


def test_repose_has_its_options() -> None:
    made = profile("repose", ReposeOptions(user_quality=0.2), "token_auth")
    assert isinstance(made, Repose)
    assert made.fields(ANNE).get("X-PP-User") == "anne;q=0.2"


def test_nobody_may_be_told() -> None:
    made = profile("none", ReposeOptions(), "token_auth")
    for fields in (made.fields(ANNE, "[]"), made.service_fields(ANNE), made.invalid(401, "No.")):
        assert lines(fields) == []
    assert lines(made.service_invalid) == []


@pytest.mark.parametrize("name", ["keystonemiddleware", "repose"])
def test_text_that_cannot_travel_is_an_error(name: ProfileName) -> None:
    made = profile(name, ReposeOptions(), "token_auth")
    with pytest.raises(ValueError, match="X-User-Id"):
        made.fields(Principal(user_id="\n"))
