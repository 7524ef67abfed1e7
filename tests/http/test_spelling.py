"""Names that an upstream may take for one another."""

from gateway.http.spelling import spellings


def test_spellings_are_every_choice_of_hyphen_and_underscore() -> None:
    assert spellings("X-User-Id") == {b"x-user-id", b"x_user-id", b"x-user_id", b"x_user_id"}
    assert spellings("Forwarded") == {b"forwarded"}
