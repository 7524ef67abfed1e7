"""Networks of options."""

import pytest
from pydantic import TypeAdapter, ValidationError

from filters._network import Network, membership

ADAPTER: TypeAdapter[str] = TypeAdapter(Network)


def test_networks_have_one_form() -> None:
    assert ADAPTER.validate_python("::ffff:10.0.0.0/104") == "10.0.0.0/8"
    assert ADAPTER.validate_python("2001:DB8::1") == "2001:db8::1/128"
    assert ADAPTER.validate_python("unix") == "unix"
    with pytest.raises(ValidationError):
        ADAPTER.validate_python("10.0.0.1/8")


def test_an_address_is_a_member_of_networks_of_its_own_family() -> None:
    member = membership(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"])
    assert [member(text) for text in ("10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8::9")] == [
        True
    ] * 4
    assert [member(text) for text in ("11.0.0.1", "192.0.2.8", "::1", "unix", "", "10.0.0.1:80")] == [
        False
    ] * 6
    assert membership(["unix"])("unix")
