"""What a client is told when an upstream fails. The course of an exchange is shown by sockets: tests/wire/."""

import re
from pathlib import Path

from gateway.api.reason import REASONS
from gateway.listener import handler as handler_module
from gateway.listener.handler import UPSTREAM_FAULTS
from gateway.upstream import connection as connection_module
from gateway.upstream import leg as leg_module

_CODE = re.compile(r'"(upstream_[a-z_]+)"')


def test_every_failure_of_an_upstream_has_its_answer() -> None:
    """A code without one would be a KeyError in the middle of an exchange."""
    used = {
        code
        for module in (leg_module, connection_module, handler_module)
        for code in _CODE.findall(Path(str(module.__file__)).read_text())
    }
    assert used == set(UPSTREAM_FAULTS)
    assert used <= set(REASONS)


def test_the_upstream_is_never_the_clients_fault_nor_named() -> None:
    for reason, (status, message) in UPSTREAM_FAULTS.items():
        assert status in (502, 503, 504)
        assert (status == 504) == reason.endswith("timeout")
        assert "upstream" not in message.lower() and message.endswith(".")
