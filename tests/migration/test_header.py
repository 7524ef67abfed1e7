"""Header fields: what arrives, goes on and comes back."""

from pathlib import Path

import pytest

from gateway.migration.repose import Migration, migrate
from gateway.trial.given import Answer
from tests.migration.installed import installed, moved, moved_filter, notes, outcome, part


async def _both(
    made: Migration, method: str = "GET", target: str = "/", **headers: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The fields that the upstream gets, and those that the client gets of what the upstream answers with."""
    answer = Answer(200, (("X-A", "1"), ("X-B", "2")), b"")
    got = await outcome(made, method, target, headers=tuple(headers.items()), answer=answer)
    assert got.forwarded is not None and got.answer is not None
    return dict(got.forwarded.headers), dict(got.answer.headers)


def _normal(directory: Path, body: str) -> Migration:
    return moved_filter(
        directory, "header-normalization", f"<header-normalization>\n{body}</header-normalization>"
    )


BLACK = "<blacklist><header id='X-A'/></blacklist>"
WHITE = "<whitelist><header id='x-b'/></whitelist>"


async def test_black_and_white_lists_of_both_directions(tmp_path: Path) -> None:
    made = _normal(tmp_path, f"<target><request>{BLACK}</request><response>{BLACK}</response></target>")
    request, response = await _both(made, **{"x-a": "1", "X-B": "2"})
    assert ("x-a" in request, "X-B" in request, "X-A" in response, "X-B" in response) == (
        False,
        True,
        False,
        True,
    )
    made = _normal(tmp_path, f"<target><request>{WHITE}</request></target>")
    request, response = await _both(made, **{"X-A": "1", "X-B": "2", "Accept": "*/*"})
    assert ("X-A" in request, "X-B" in request, "Accept" in request, "Host" in request) == (
        False,
        True,
        False,
        True,
    )
    assert "X-A" in response


@pytest.mark.parametrize(
    ("method", "target", "stays"), [("GET", "/s/1", False), ("PUT", "/s/1", True), ("GET", "/t", True)]
)
async def test_a_target_is_for_some_requests(tmp_path: Path, method: str, target: str, stays: bool) -> None:
    made = _normal(
        tmp_path, f'<target uri-regex="/s/.*" http-methods="GET POST"><request>{BLACK}</request></target>'
    )
    request, _ = await _both(made, method, target, **{"X-A": "1"})
    assert ("X-A" in request) is stays


@pytest.mark.parametrize(("target", "stays"), [("/s/1", ("X-B",)), ("/t", ("X-A",))])
async def test_before_9_the_first_target_that_fits_is_the_only_one(
    tmp_path: Path, target: str, stays: tuple[str, ...]
) -> None:
    made = _normal(
        tmp_path,
        f'<header-filters><target uri-regex="/s/.*">{BLACK}</target>\n'
        '<target><blacklist id="x"><header id="X-B"/></blacklist></target>\n'
        "<target><blacklist><header id='X-C'/></blacklist></target></header-filters>",
    )
    request, _ = await _both(made, target=target, **{"X-A": "1", "X-B": "2"})
    assert tuple(name for name in ("X-A", "X-B") if name in request) == stays
    assert "header-normalization.cfg.xml:4 no request comes to it" in notes(made, "header-normalization")


def test_fields_of_the_gateways_own_are_told(tmp_path: Path) -> None:
    made = _normal(tmp_path, "<target><request><blacklist><header id='Via'/></blacklist></request></target>")
    assert part(made, "header-normalization").outcome == "not moved"
    assert "Via cannot be edited" in notes(made, "header-normalization")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('new-name="X-N"', {"X-A": "1", "X-N": "1"}),
        ('new-name="X-N" remove-original="true"', {"X-N": "1"}),
    ],
)
async def test_a_field_is_copied_or_has_another_name(
    tmp_path: Path, attributes: str, expected: dict[str, str]
) -> None:
    text = f'<header-translation><header original-name="x-a" {attributes}/></header-translation>'
    request, _ = await _both(moved_filter(tmp_path, "header-translation", text), **{"X-A": "1"})
    assert {name: value for name, value in request.items() if name in ("X-A", "X-N")} == expected


async def test_a_field_that_replaces_another(tmp_path: Path) -> None:
    text = '<header-translation><header original-name="X-A" new-name="X-N Host" overwrite-target="true"/></header-translation>'
    made = moved_filter(tmp_path, "header-translation", text)
    request, _ = await _both(made, **{"X-A": "1", "X-N": "0"})
    assert request["X-N"] == "1"
    said = notes(made, "header-translation")
    assert "removed also where there is no X-A" in said
    assert "Host cannot be edited" in said


async def test_a_field_has_several_new_names_a_weight_and_lines_of_its_own(tmp_path: Path) -> None:
    text = (
        '<header-translation><header original-name="X-A" new-name="X-N X-M" remove-original="true" quality="0.5"'
        ' splittable="true"/></header-translation>'
    )
    made = moved_filter(tmp_path, "header-translation", text)
    got = await outcome(made, headers=(("X-A", "1, 2"),))
    assert got.forwarded is not None
    sent = [(name, value) for name, value in got.forwarded.headers if name in ("X-A", "X-N", "X-M")]
    assert sorted(sent) == [("X-M", "1;q=0.5"), ("X-M", "2;q=0.5"), ("X-N", "1;q=0.5"), ("X-N", "2;q=0.5")]


async def test_lines_are_joined_and_parted(tmp_path: Path) -> None:
    made = moved_filter(
        tmp_path, "merge-header", "<merge-header><request><header name='X-A'/></request></merge-header>"
    )
    got = await outcome(made, headers=(("X-A", "1"), ("X-A", "2")))
    assert got.forwarded is not None and ("X-A", "1, 2") in got.forwarded.headers
    made = moved_filter(
        tmp_path, "split-header", "<split-header><response><header name='X-A'/></response></split-header>"
    )
    got = await outcome(made, answer=Answer(200, (("X-A", "1, 2"),)))
    assert got.answer is not None
    assert [value for name, value in got.answer.headers if name == "X-A"] == ["1", "2"]


async def test_fields_are_added_and_replaced(tmp_path: Path) -> None:
    text = (
        "<add-headers><request><header name='X-A' overwrite='true' quality='0.5'> new </header>"
        "<header name='X-C'>one</header><header name='X-C'>two</header></request>"
        "<response><header name='X-A'>more</header></response></add-headers>"
    )
    made = moved_filter(tmp_path, "add-header", text)
    got = await outcome(made, headers=(("X-A", "1"), ("X-C", "0")), answer=Answer(200, (("X-A", "1"),)))
    assert got.forwarded is not None and got.answer is not None
    sent = [(name, value) for name, value in got.forwarded.headers if name.startswith("X-A") or name == "X-C"]
    assert sorted(sent) == [("X-A", "new;q=0.5"), ("X-C", "0"), ("X-C", "one"), ("X-C", "two")]
    assert [value for name, value in got.answer.headers if name == "X-A"] == ["1", "more"]


def test_credentials_in_fields_are_not_written_down(tmp_path: Path) -> None:
    text = "<add-headers><request><header name='X-Api-Key'>hunter2</header></request></add-headers>"
    made = moved_filter(tmp_path, "add-header", text)
    assert "hunter2" not in made.text + made.report.text()
    assert 'request: { add: { X-Api-Key: "${ADD_HEADER_X_API_KEY:-change-me}" } }' in made.text


async def test_a_field_that_is_to_go_goes_also_where_its_new_name_cannot_be(tmp_path: Path) -> None:
    text = '<header-translation><header original-name="X-A" new-name="Host" remove-original="true"/></header-translation>'
    request, _ = await _both(moved_filter(tmp_path, "header-translation", text), **{"X-A": "1"})
    assert "X-A" not in request


MAPPING = "<header id='1' user-header='X-U' group-header='X-G' quality='0.5'/>"


def _mapped(directory: Path, mappings: str, chain: str = "", **files: str) -> Migration:
    text = f"<header-id-mapping><source-headers>{mappings}</source-headers></header-id-mapping>"
    return moved(directory, f'<filter name="header-id-mapping"/>{chain}', header_id_mapping=text, **files)


async def test_a_user_and_a_group_by_two_fields(tmp_path: Path) -> None:
    made = _mapped(tmp_path, MAPPING)
    request, _ = await _both(made, **{"X-U": "ann", "X-G": "gold", "X-PP-User": "root"})
    told = {name: request.get(name) for name in ("X-PP-User", "X-PP-Groups", "X-U", "X-G")}
    assert told == {"X-PP-User": "ann;q=0.5", "X-PP-Groups": "gold;q=0.5", "X-U": None, "X-G": None}
    request, _ = await _both(made, **{"X-PP-User": "root"})
    assert "X-PP-User" not in request
    assert part(made, "header-id-mapping").outcome == "moved with a difference"


async def test_of_several_mappings_none_is_moved(tmp_path: Path) -> None:
    made = _mapped(tmp_path, MAPPING + MAPPING.replace("X-U", "X-V"))
    assert (await outcome(made)).status == 503
    assert part(made, "header-id-mapping").outcome == "not moved"


async def test_limits_of_users_whom_nobody_here_believes_in_refuse(tmp_path: Path) -> None:
    limits = (
        '<rate-limiting><limit-group id="g" default="true">'
        '<limit uri="*" uri-regex=".*" http-methods="ALL" unit="DAY" value="1"/></limit-group></rate-limiting>'
    )
    made = _mapped(tmp_path, MAPPING, '<filter name="rate-limiting"/>', rate_limiting=limits)
    assert (await outcome(made, headers=(("X-U", "ann"),))).status == 503
    assert "header-id-mapping.cfg.xml:1" in notes(made, "rate-limiting")


async def test_the_service_is_told_who_its_gateway_is(tmp_path: Path) -> None:
    text = "<service-auth><credentials username='front' password='hunter2'/></service-auth>"
    made = moved_filter(tmp_path, "service-authentication", text, file="service-auth")
    assert "hunter2" not in made.text + made.report.text()
    request, _ = await _both(made)
    assert request["Authorization"] == "Basic change-me"
    assert "SERVICE_AUTHENTICATION" in made.variables


def test_variables_that_the_credentials_were_made_of_are_named(tmp_path: Path) -> None:
    text = "<service-auth><credentials username='{$ NAME $}' password='{$ WORD $}'/></service-auth>"
    made = moved_filter(tmp_path, "service-authentication", text, file="service-auth")
    assert "Repose has made it of NAME, WORD" in notes(made, "service-authentication")


@pytest.mark.parametrize(("value", "written"), [("{$ T $}", '"${T}"'), ("Bearer {$ T $}", '"Bearer ${T}"')])
def test_a_secret_field_that_is_a_variable_stays_one(tmp_path: Path, value: str, written: str) -> None:
    text = f"<a><request><header name='Authorization'>{value}</header></request></a>"
    made = migrate(installed(tmp_path, '<filter name="add-header"/>', {"add-header": text}), environment={})
    assert f"Authorization: {written}" in made.text
    assert "variable T " in notes(made, "add-header")


@pytest.mark.parametrize("removes", ["true", "false"])
async def test_several_rules_for_one_field_all_hold(tmp_path: Path, removes: str) -> None:
    rules = "".join(
        f'<header original-name="{old}" new-name="{new}" remove-original="{removes}"/>'
        for old, new in (("X-A", "X-N"), ("x-a", "X-M"), ("X-A", "X-O X-N"))
    )
    made = moved_filter(tmp_path, "header-translation", f"<header-translation>{rules}</header-translation>")
    got = await outcome(made, headers=(("X-A", "1"),))
    assert got.forwarded is not None
    sent = sorted(name for name, _ in got.forwarded.headers if name in ("X-A", "X-N", "X-M", "X-O"))
    assert sent == (["X-A"] if removes == "false" else []) + ["X-M", "X-N", "X-O"]


async def test_a_target_whose_requests_cannot_be_told_refuses(tmp_path: Path) -> None:
    made = _normal(
        tmp_path, f'<target uri-regex="(a+)+b" http-methods="GET"><request>{BLACK}</request></target>'
    )
    assert [(await outcome(made, method)).status for method in ("GET", "POST")] == [503, 200]
    assert part(made, "header-normalization").outcome == "not moved"


async def test_a_target_for_some_answers_leaves_the_others_to_the_next(tmp_path: Path) -> None:
    made = _normal(
        tmp_path,
        f'<response-header-filters><target code-regex="5.."><whitelist id="x"><header id="X-B"/></whitelist></target>'
        f"<target>{BLACK}</target></response-header-filters>",
    )
    _, response = await _both(made)
    assert "X-A" not in response


@pytest.mark.parametrize(("overwrite", "status"), [("true", 503), ("false", 200)])
async def test_a_field_that_cannot_be_replaced_refuses(tmp_path: Path, overwrite: str, status: int) -> None:
    text = f"<add-headers><request><header name='Host' overwrite='{overwrite}'>x</header></request></add-headers>"
    assert (await outcome(moved_filter(tmp_path, "add-header", text))).status == status
