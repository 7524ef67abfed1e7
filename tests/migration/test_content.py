"""Bodies: what is taken from them, put into them, and answered in place of them."""

import gzip
import json
from pathlib import Path

import pytest

from gateway.migration.content import statuses
from gateway.migration.repose import Migration, migrate
from gateway.trial.given import Answer
from tests.migration.installed import installed, moved, moved_filter, notes, outcome, part

JSON = (("Content-Type", "application/json"),)


async def _sent(
    made: Migration, method: str = "GET", target: str = "/", **options: object
) -> list[tuple[str, str]]:
    got = await outcome(made, method, target, **options)
    assert got.forwarded is not None
    return list(got.forwarded.headers)


@pytest.mark.parametrize(
    ("target", "values"),
    [("/v1/s/t1/x", ["t1"]), ("/s/t%41", ["tA"]), ("/other", ["none"])],
)
async def test_a_part_of_the_path_is_a_field(tmp_path: Path, target: str, values: list[str]) -> None:
    text = '<url-extractor-to-header><extraction header="X-T" url-regex="/s/([^/]+)" default="none"/></url-extractor-to-header>'
    made = moved_filter(tmp_path, "url-extractor-to-header", text)
    sent = await _sent(made, target=target, headers=(("X-T", "mine"),))
    assert [value for name, value in sent if name == "X-T"] == values
    assert "stripped" in notes(made, "url-extractor-to-header")


async def test_a_path_that_is_too_long_for_an_expression_has_nothing_in_it(tmp_path: Path) -> None:
    text = '<url-extractor-to-header><extraction header="X-T" url-regex="/s/([^/]+)" default="none"/></url-extractor-to-header>'
    made = moved_filter(tmp_path, "url-extractor-to-header", text)
    long = "/s/a/" + "x" * 2044
    found = []
    for target in (long[:-1], long):
        forwarded = (await outcome(made, target=target)).forwarded
        assert forwarded is not None
        found.append(dict(forwarded.headers)["X-T"])
    assert found == ["a", "none"]
    assert "a path of more than 2,048 characters has nothing found in it" in notes(
        made, "url-extractor-to-header"
    )


@pytest.mark.parametrize("regex", [r"\?filter=([^&amp;]+)", r".*[?&amp;]filter=([^&amp;]*).*"])
@pytest.mark.parametrize(
    ("target", "value"), [("/s?filter=a%41&b=1", "aA"), ("/s?b=1&filter=a", "a"), ("/filter=a", "none")]
)
async def test_a_parameter_of_the_query_is_a_field(
    tmp_path: Path, regex: str, target: str, value: str
) -> None:
    text = f'<url-extractor-to-header><extraction header="X-F" url-regex="{regex}" default="none"/></url-extractor-to-header>'
    made = moved_filter(tmp_path, "url-extractor-to-header", text)
    assert dict(await _sent(made, target=target))["X-F"] == value


def test_an_expression_of_path_and_query_is_not_moved(tmp_path: Path) -> None:
    text = r"""<url-extractor-to-header><extraction header="X-F" url-regex="/(a|b)\?x=(\d+)" default="none"/>
        <extraction header="X-G" url-regex="/s/([^/?]+)\??"/></url-extractor-to-header>"""
    made = moved_filter(tmp_path, "url-extractor-to-header", text)
    said = notes(made, "url-extractor-to-header")
    assert "the query is no part of the path" in said and "unknown" not in said
    assert "X-G" in made.text and "X-F" not in made.text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"user": {"name": "Bob", "aliases": ["B"]}}, {"X-N": "Bob;q=0.8", "X-F": "B"}),
        ({"user": {"name": None}}, {"X-N": "null;q=0.8", "X-F": "missing"}),
    ],
)
async def test_a_part_of_the_body_is_a_field(tmp_path: Path, body: object, expected: dict[str, str]) -> None:
    text = (
        '<body-extractor-to-header><extraction header="X-N" jsonpath="$.user.name" defaultIfNull="null" quality="0.8"/>'
        '<extraction header="X-F" jsonpath="$.user.aliases[0]" defaultIfMiss="missing" overwrite="true"/>'
        "</body-extractor-to-header>"
    )
    made = moved_filter(tmp_path, "body-extractor-to-header", text)
    sent = dict(await _sent(made, "POST", body=json.dumps(body).encode(), headers=JSON))
    assert {name: sent.get(name) for name in expected} == expected


async def test_bodies_are_patched(tmp_path: Path) -> None:
    text = (
        '<body-patcher><change path="/a/.*"><request><json>[{"op": "remove", "path": "/x"}]</json></request>'
        '<response><json>[{"op": "add", "path": "/y", "value": null}]</json></response></change>'
        '<change path="/q"><request><json>nothing</json></request></change></body-patcher>'
    )
    made = moved_filter(tmp_path, "body-patcher", text)
    answer = Answer(200, JSON, b"{}")
    got = await outcome(made, "POST", "/a/b", body=b'{"x": 1, "z": 2}', headers=JSON, answer=answer)
    assert got.forwarded is not None and got.answer is not None
    assert (json.loads(got.forwarded.body), json.loads(got.answer.body)) == ({"z": 2}, {"y": None})
    assert "the patch is not JSON" in notes(made, "body-patcher")
    assert (await outcome(made, "POST", "/q", body=b"{}", headers=JSON)).status == 503


@pytest.mark.parametrize(
    ("side", "said", "unsaid"),
    [
        ("request", "answered 400", "answers 2xx"),
        ("response", "only answers 2xx are patched", "answered 400"),
    ],
)
async def test_what_is_not_patched_is_told(tmp_path: Path, side: str, said: str, unsaid: str) -> None:
    text = (
        f'<b><change path=".*"><{side}><json>[{{"op": "remove", "path": "/x"}}]</json></{side}></change></b>'
    )
    made = moved_filter(tmp_path, "body-patcher", text)
    assert part(made, "body-patcher").outcome == "moved with a difference"
    assert said in notes(made, "body-patcher") and unsaid not in notes(made, "body-patcher")
    statuses = []
    for status, body in ((200, b'{"x": 1}'), (200, b"{}"), (404, b"{}")):
        answer = Answer(status, JSON, body)
        got = await outcome(made, "POST", "/a", body=body, headers=JSON, answer=answer)
        statuses.append(got.status)
    assert statuses == ([200, 400, 400] if side == "request" else [200, 502, 404])


async def test_bodies_are_decoded_and_coded(tmp_path: Path) -> None:
    text = (
        '<content-compression><compression compression-threshold="10" include-content-types="text/plain, text/x"'
        ' exclude-content-types="text/y" debug="false"/></content-compression>'
    )
    made = moved_filter(tmp_path, "compression", text)
    got = await outcome(
        made,
        "POST",
        body=gzip.compress(b"hello"),
        headers=(("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")),
        answer=Answer(200, (("Content-Type", "text/plain"),), b"x" * 100),
    )
    assert got.forwarded is not None and got.answer is not None
    assert got.forwarded.body == b"hello"
    assert gzip.decompress(got.answer.body) == b"x" * 100
    assert "exclude-content-types" in notes(made, "compression")


async def test_a_request_without_a_body_has_no_content_type(tmp_path: Path) -> None:
    made = moved(tmp_path, '<filter name="content-type-stripper"/>')
    assert "Content-Type" not in dict(await _sent(made, headers=JSON))
    assert "Content-Type" in dict(await _sent(made, "POST", headers=JSON, body=b"{}"))


CORS = """<cross-origin-resource-sharing>
<allowed-origins>
  <origin>https://good.com</origin>
  <origin regex="true">https://[a-z]+.example.com</origin>
</allowed-origins>
<allowed-methods><method>GET</method></allowed-methods>
<resources>
  <resource path="/v1/status.*"/>
  <resource path="/v1/.*"><allowed-methods><method>PUT</method></allowed-methods></resource>
</resources>
</cross-origin-resource-sharing>"""


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://good.com", True),
        ("https://good.com.evil.com", False),
        ("https://app.example.com", True),
        ("https://app.example.com.evil.com", False),
    ],
)
async def test_an_origin_is_allowed_as_a_whole(tmp_path: Path, origin: str, allowed: bool) -> None:
    made = moved_filter(tmp_path, "cors", CORS)
    got = await outcome(made, headers=(("Origin", origin),))
    assert (got.status == 200) is allowed
    assert "a dot stands for any character" in notes(made, "cors")


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        ("/v1/status/a", {"GET"}),
        ("/x/v1/servers", {"GET", "PUT"}),
        ("/v1/servers", {"GET", "PUT"}),
        ("/v2", {"GET"}),
    ],
)
async def test_methods_of_the_first_resource_that_fits(
    tmp_path: Path, target: str, methods: set[str]
) -> None:
    made = moved_filter(tmp_path, "cors", CORS)
    headers = (("Origin", "https://good.com"), ("Access-Control-Request-Method", "GET"))
    got = await outcome(made, "OPTIONS", target, headers=headers)
    assert got.answer is not None and got.forwarded is None
    fields = {name.lower(): value for name, value in got.answer.headers}
    assert set(fields["access-control-allow-methods"].split(", ")) == methods
    assert fields["access-control-allow-credentials"] == "true"


async def test_an_echo(tmp_path: Path) -> None:
    got = await outcome(moved(tmp_path, '<filter name="echo"/>'), headers=(("X-A", "1"),))
    assert got.answer is not None and got.forwarded is None
    assert dict(got.answer.headers)["X-A"] == "1"


MESSAGES = """<response-messaging>
<status-code id="a" code-regex="50[0-4]" overwrite="ALWAYS">
  <message media-type="application/json">{"code": %s, "phrase": "%M"}</message>
  <message media-type="*/*" content-type="text/plain">no</message>
</status-code>
<status-code id="b" code-regex="404"><message media-type="text/plain" href="lost.txt"/></status-code>
<status-code id="c" code-regex="403"><message media-type="text/plain">%q</message></status-code>
</response-messaging>"""


@pytest.mark.parametrize(
    ("status", "accept", "body"),
    [
        (503, "application/json", b'{"code": 503, "phrase": "Service Unavailable"}'),
        (500, "text/plain", b"no"),
        (404, "text/plain", b"lost"),
        (403, "text/plain", b""),
    ],
)
async def test_answers_have_bodies_by_their_status(
    tmp_path: Path, status: int, accept: str, body: bytes
) -> None:
    (tmp_path / "lost.txt").write_text("lost")
    made = moved(tmp_path, "", response_messaging=MESSAGES)
    got = await outcome(
        made, headers=(("Accept", accept),), answer=Answer(status, (("Content-Length", "0"),))
    )
    assert got.answer is not None
    assert got.answer.body == body
    assert "response-messaging.cfg.xml:7 the code %q has no equal" in notes(made, "response-messaging")
    assert part(made, "response-messaging").outcome == "moved with a difference"


@pytest.mark.parametrize("accept", ["*/*", "image/png", "text/plain"])
@pytest.mark.parametrize("own", [True, False])
async def test_the_text_for_all_media_types_is_for_whoever_takes_no_other(
    tmp_path: Path, accept: str, own: bool
) -> None:
    text = (
        '<response-messaging><status-code id="a" code-regex="503"><message media-type="application/json">{}</message>'
        + ('<message media-type="text/plain">own</message>' if own else "")
        + '<message media-type="*/*" content-type="text/plain">all</message></status-code></response-messaging>'
    )
    made = moved(tmp_path, "", response_messaging=text)
    got = await outcome(made, headers=(("Accept", accept),), answer=Answer(503, (("Content-Length", "0"),)))
    assert got.answer is not None
    assert got.answer.body == (b"own" if own else b"all")
    assert ("which stands for */* too" in notes(made, "response-messaging")) == own


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("413", [413]),
        ("50[0-4]", ["500-504"]),
        ("4..", ["400-499"]),
        ("401|403|50\\d", [401, 403, "500-509"]),
        ("9..", []),
    ],
)
def test_statuses_that_an_expression_matches(expression: str, expected: list[int | str]) -> None:
    assert statuses(expression) == expected


@pytest.mark.parametrize("name", ["response-messaging", "response-messaging-service"])
def test_a_service_that_is_moved_is_not_told_as_one_that_is_not(tmp_path: Path, name: str) -> None:
    installed(tmp_path, "", {"response-messaging": MESSAGES.replace("lost.txt", "system-model.cfg.xml")})
    model = tmp_path / "system-model.cfg.xml"
    service = f'<services><service name="{name}"/></services></system-model>'
    model.write_text(model.read_text().replace("</system-model>", service))
    report = migrate(tmp_path, environment={}).report
    assert [one.outcome for one in report.parts if "response-messaging" in one.name] == [
        "moved with a difference"
    ]


def test_a_part_of_a_body_that_cannot_be_said_leaves_the_others(tmp_path: Path) -> None:
    text = (
        '<body-extractor-to-header><extraction header="X-F" jsonpath="$.a[?(@.b)]" overwrite="true"/>%s'
        "</body-extractor-to-header>"
    )
    good = '<extraction header="X-N" jsonpath="$.user.name"/>'
    made = moved_filter(tmp_path, "body-extractor-to-header", text % good)
    assert "X-N" in made.text and "X-F" not in made.text
    assert "unknown" not in notes(made, "body-extractor-to-header")
    alone = moved_filter(tmp_path, "body-extractor-to-header", text % "")
    assert part(alone, "body-extractor-to-header").outcome == "not moved"
    assert "stripped" not in notes(alone, "body-extractor-to-header")


async def test_a_field_that_is_not_extracted_is_not_taken_from_the_client(tmp_path: Path) -> None:
    for name, text in (
        ("url-extractor-to-header", '<e><extraction header="X-T" url-regex="(a+)+b"/></e>'),
        ("body-extractor-to-header", '<e><extraction header="X-T" jsonpath="$..[?(@.a)]"/></e>'),
    ):
        made = moved_filter(tmp_path, name, text)
        assert (await outcome(made, headers=(("X-T", "mine"),))).status == 503
        assert part(made, name).outcome == "not moved"


@pytest.mark.parametrize(("overwrite", "refuses"), [("ALWAYS", True), ("IF_EMPTY", False)])
def test_a_text_that_hid_the_services_and_cannot_be_said_refuses(
    tmp_path: Path, overwrite: str, refuses: bool
) -> None:
    text = (
        f'<response-messaging><status-code id="a" code-regex="5.." overwrite="{overwrite}">'
        '<message media-type="*/*">%{X-A}i</message></status-code></response-messaging>'
    )
    made = moved(tmp_path, "", response_messaging=text)
    assert part(made, "response-messaging").refuses is refuses


@pytest.mark.parametrize("lost", ['media-type="text/*"', 'media-type="*/*" content-type="text/*"'])
async def test_one_text_that_cannot_be_said_leaves_the_others(tmp_path: Path, lost: str) -> None:
    text = (
        f'<response-messaging>\n<status-code id="a" code-regex="503">\n<message {lost}>x</message>'
        '<message media-type="application/json">{}</message></status-code></response-messaging>'
    )
    made = moved(tmp_path, "", response_messaging=text)
    json = (("Accept", "application/json"),)
    got = await outcome(made, headers=json, answer=Answer(503, (("Content-Length", "0"),)))
    assert got.answer is not None and got.answer.body == b"{}"
    assert "response-messaging.cfg.xml:3 'text/*' is not a media type" in notes(made, "response-messaging")
