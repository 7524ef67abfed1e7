from gateway.demo import sample
from gateway.demo.rule import valid_image_id, valid_key


def test_has_a_member_and_a_reader_of_the_sample_project_and_an_admin_of_the_other() -> None:
    by_token = {entry["token"]: (entry["project_id"], set(entry["roles"])) for entry in sample.token_list()}
    assert by_token == {
        sample.MEMBER_TOKEN: (sample.SAMPLE_PROJECT, {"member", "reader"}),
        sample.READER_TOKEN: (sample.SAMPLE_PROJECT, {"reader"}),
        sample.ADMIN_TOKEN: (sample.OTHER_PROJECT, {"admin", "member", "reader"}),
    }


def test_tokens_have_exactly_the_members_that_the_static_provider_takes() -> None:
    for entry in sample.token_list():
        assert set(entry) == {"token", "user", "user_id", "project_id", "project_name", "roles"}


def test_the_list_is_the_callers_own() -> None:
    sample.token_list()[0]["roles"].append("admin")
    assert "admin" not in sample.token_list()[0]["roles"]


def test_ids_are_distinct_and_canonical() -> None:
    images = [
        sample.SAMPLE_IMAGE,
        sample.SAVING_IMAGE,
        sample.BROKEN_IMAGE,
        sample.OFFLINE_IMAGE,
        sample.PUBLIC_IMAGE,
        sample.FOREIGN_IMAGE,
        sample.UNKNOWN_IMAGE,
    ]
    assert len(set(images)) == len(images)
    assert all(valid_image_id(image) for image in images)
    assert all(valid_key(key) for key in sample.SAMPLE_METADATA)
