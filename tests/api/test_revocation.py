"""Whom a revocation fits."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Owing, Principal, Revocable, Revocation

_SOME = st.one_of(st.none(), st.sampled_from("ab"))


@given(_SOME, _SOME, _SOME, _SOME, _SOME, _SOME)
def test_it_fits_whoever_agrees_with_all_that_is_given(
    token: str | None, user: str | None, project: str | None, t: str | None, u: str | None, p: str | None
) -> None:
    revocation = Revocation(token_key=token, user_id=user, project_id=project)
    principal = Principal(token_key=t, user_id=u, project_id=p)
    given = [pair for pair in ((token, t), (user, u), (project, p)) if pair[0] is not None]
    assert revocation.fits(principal) == all(wanted == there for wanted, there in given)


def test_state_that_can_revoke_is_told_by_its_method() -> None:
    class Memory:
        def revoke(self, revocation: Revocation) -> int:
            return 0

    assert isinstance(Memory(), Revocable)
    assert not isinstance({}, Revocable)


def test_state_that_tells_others_is_told_by_its_method() -> None:
    class Sharing:
        async def owed(self) -> str | None:
            return None

    assert isinstance(Sharing(), Owing)
    assert not isinstance({}, Owing)
