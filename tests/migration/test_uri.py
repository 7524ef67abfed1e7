"""The target: parameters that may stay, suffixes, and segments that are left out."""

from pathlib import Path

import pytest

from gateway.migration.repose import Migration, migrate
from gateway.trial.given import Answer
from tests.migration.installed import SYSTEM_MODEL, installed, moved, moved_filter, notes, outcome, part, plan

NORMAL = """<uri-normalization>
<media-variants>
  <media-type name="application/json" variant-extension="json"/>
  <media-type name="application/xml" variant-extension="xml" preferred="true"/>
  <media-type name="text/x" variant-extension="a/b"/>
</media-variants>
<uri-filters>
  <target uri-regex="/a/.*" http-methods="GET" alphabetize="true">
    <whitelist id="w"><parameter name="b"/><parameter name="a" multiplicity="1" case-sensitive="false"/></whitelist>
  </target>
  <target uri-regex="/a/b"><whitelist/></target>
</uri-filters>
</uri-normalization>"""


async def _sent(made: Migration, method: str, target: str) -> tuple[str, dict[str, str]]:
    got = await outcome(made, method, target)
    assert got.forwarded is not None
    return got.forwarded.line.split()[1], dict(got.forwarded.headers)


@pytest.mark.parametrize(
    ("method", "target", "sent"),
    [
        ("GET", "/a/x?c=1&b=%20&A=2&a=3&b=x+y", "/a/x?A=2&b=%20&b=x+y"),
        ("POST", "/a/x?c=1", "/a/x?c=1"),
        ("GET", "/a/b?b=1&c=2", "/a/b?b=1"),
        ("POST", "/a/b?b=1&c=2", "/a/b"),
        ("GET", "/x?c=1", "/x?c=1"),
    ],
)
async def test_parameters_that_may_stay(tmp_path: Path, method: str, target: str, sent: str) -> None:
    assert (await _sent(moved_filter(tmp_path, "uri-normalization", NORMAL), method, target))[0] == sent


@pytest.mark.parametrize(
    ("target", "sent", "accept"),
    [
        ("/x.json", "/x", "application/json"),
        ("/x", "/x", "application/xml"),
        ("/x.foo", "/x.foo", "application/xml"),
    ],
)
async def test_a_suffix_is_a_media_type(tmp_path: Path, target: str, sent: str, accept: str) -> None:
    made = moved_filter(tmp_path, "uri-normalization", NORMAL)
    path, fields = await _sent(made, "GET", target)
    assert (path, fields["Accept"]) == (sent, accept)
    assert "the extension 'a/b'" in notes(made, "uri-normalization")


async def test_a_segment_is_left_out_and_put_back(tmp_path: Path) -> None:
    text = (
        '<uri-stripper token-index="1" rewrite-location="true"><link-resource uri-path-regex=".*" http-methods="GET"><response>'
        '<json token-index="1" link-mismatch-action="continue">$.x</json></response></link-resource></uri-stripper>'
    )
    made = moved_filter(tmp_path, "uri-stripper", text)
    answer = Answer(201, (("Location", "/v1/servers/7"),))
    got = await outcome(made, "POST", "/v1/t1/servers", answer=answer)
    assert got.forwarded is not None and got.answer is not None
    assert got.forwarded.line.startswith("POST /v1/servers ")
    assert dict(got.answer.headers)["Location"] == "/v1/t1/servers/7"
    assert "links in bodies" in notes(made, "uri-stripper")
    assert "as it was received" in notes(made, "uri-stripper")
    made = moved_filter(tmp_path, "uri-stripper", text.replace("continue", "fail"))
    assert (await outcome(made, target="/v1/t1/servers")).status == 503


async def test_a_white_list_whose_requests_cannot_be_told_refuses(tmp_path: Path) -> None:
    body = '<uri-filters><target uri-regex="(a+)+b" %s>%s</target></uri-filters>'
    white = '<whitelist id="w"><parameter name="a"/></whitelist>'
    for text, status in ((body % ("", white), 503), (body % ('alphabetize="true"', ""), 200)):
        made = moved_filter(tmp_path, "uri-normalization", f"<uri-normalization>{text}</uri-normalization>")
        assert (await outcome(made, target="/x")).status == status


async def test_what_cannot_be_said_when_to_do_is_not_done_to_all(tmp_path: Path) -> None:
    made = moved(tmp_path, '<filter name="uri-normalization" uri-regex="(a+)+b"/>', uri_normalization=NORMAL)
    assert part(made, "uri-normalization").outcome == "not moved"
    assert "more than refuse" in notes(made, "uri-normalization")
    assert (await outcome(made, target="/a/x?b=1&a=2")).status == 503


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uri-stripper", '<uri-stripper token-index="0"/>'),
        (
            "uri-normalization",
            '<uri-normalization><media-variants><media-type name="application/json" variant-extension="json"/>'
            "</media-variants></uri-normalization>",
        ),
    ],
)
async def test_filters_behind_it_that_go_by_the_path_refuse(tmp_path: Path, name: str, text: str) -> None:
    limits = (
        '<rate-limiting><limit-group id="g" default="true">'
        '<limit uri="*" uri-regex="%s" http-methods="ALL" unit="DAY" value="5"/></limit-group></rate-limiting>'
    )
    for regex, status in (("/servers", 503), (".*", 200)):
        made = moved(
            tmp_path,
            f'<filter name="ip-user"/><filter name="{name}"/><filter name="rate-limiting"/>',
            ip_user='<ip-user><group name="g"><cidr-ip>192.0.2.0/24</cidr-ip></group></ip-user>',
            rate_limiting=limits % regex,
            **{name: text},
        )
        assert (await outcome(made, target="/t1/servers")).status == status


def bypassing(place: Path, regex: str, condition: str = "") -> Migration:
    """A chain whose second filter removes a field, on this condition, and which paths pass by that match."""
    chain = f'<filter name="uri-stripper"/><filter name="header-normalization"{condition}/>'
    installed(place, "", {"uri-stripper": '<u token-index="0"/>', "header-normalization": REMOVES % ""})
    model = place / "system-model.cfg.xml"
    model.write_text(
        SYSTEM_MODEL.replace("<filters>", f'<filters bypass-uri-regex="{regex}">').format(chain=chain)
    )
    made = migrate(place, environment={})
    plan(made)
    return made


REMOVES = "<h><target %s><request><blacklist><header id='X-Internal'/></blacklist></request></target></h>"


async def test_a_bypass_goes_by_the_path_as_it_was_received(tmp_path: Path) -> None:
    made = bypassing(tmp_path, "/health(/.*)?")
    assert part(made, "header-normalization").outcome == "moved"
    for target, sent, left in (
        ("/health/x", "/health/x", True),
        ("/t1/health", "/health", False),
        ("/t1/servers", "/servers", False),
    ):
        got = await outcome(made, target=target, headers=(("X-Internal", "1"),))
        assert got.forwarded is not None
        assert (got.forwarded.line.split()[1], "X-Internal" in dict(got.forwarded.headers)) == (sent, left)


async def test_what_a_bypass_lets_pass_is_not_refused_for_a_filter_that_goes_by_another_path(
    tmp_path: Path,
) -> None:
    made = bypassing(tmp_path, "/health", ' uri-regex="/health"')
    assert [(await outcome(made, target=target)).status for target in ("/health", "/t1/health")] == [200, 503]
    assert "uri-stripper.cfg.xml:1" in notes(made, "header-normalization")
