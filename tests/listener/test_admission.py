"""Who is let in. By sockets: tests/wire/test_crowd.py."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Limits
from gateway.listener.admission import TOO_MANY, TOO_MANY_OF_CLIENT, Admission

LIMITS = Limits(connections=3, connections_per_client=2)


def test_one_client_gets_no_more_than_its_own_limit() -> None:
    made = Admission()
    assert [made.enter(client, LIMITS) for client in ("a", "a", "a", "b", "b")] == [
        *("", "", TOO_MANY_OF_CLIENT),
        *("", TOO_MANY),
    ]


def test_a_place_is_free_again_when_a_connection_ends() -> None:
    made = Admission()
    assert [made.enter("a", LIMITS) for _ in range(3)] == ["", "", TOO_MANY_OF_CLIENT]
    made.leave("a")
    assert made.enter("a", LIMITS) == ""


def test_a_peer_without_a_client_counts_in_all_only() -> None:
    made = Admission()
    assert [made.enter(None, LIMITS) for _ in range(4)] == ["", "", "", TOO_MANY]
    assert made.enter("a", LIMITS) == TOO_MANY
    made.leave(None)
    assert made.enter("a", LIMITS) == ""


def test_nothing_is_refused_by_default() -> None:
    made = Admission()
    assert not any(made.enter("a", Limits()) for _ in range(10_000))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.booleans()), max_size=60))
def test_what_is_counted_is_what_is_open(moves: list[tuple[str | None, bool]]) -> None:
    """Refusals leave no trace, and clients that have gone none either."""
    made, standing = Admission(), list[str | None]()
    for client, comes in moves:
        if comes:
            room = len(standing) < 3 and (client is None or standing.count(client) < 2)
            assert (made.enter(client, LIMITS) == "") is room
            standing += [client] * room
        elif client in standing:
            standing.remove(client)
            made.leave(client)
    assert made._total == len(standing)
    assert made._clients == {name: standing.count(name) for name in standing if name is not None}
