import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.negotiation import fault_format, preferred, weights


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("/servers.json", ["application/xml"], ("json", False)),
        ("/servers.xml", ["application/json"], ("xml", False)),
        ("/servers.xml", [], ("xml", False)),
        ("/servers.xml/1", [], ("json", True)),
        ("/servers", [], ("json", True)),
    ],
)
def test_the_suffix_wins_and_then_accept_matters(
    path: str, accept: list[str], expected: tuple[str, bool]
) -> None:
    assert fault_format(path, accept) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (["*/*"], "json"),
        (["application/*"], "json"),
        (["text/html"], "json"),
        (["application/json"], "json"),
        (["application/xml"], "xml"),
        (["APPLICATION/XML"], "xml"),
        (["application/xml; charset=utf-8"], "xml"),
        (["application/vnd.openstack.compute+xml"], "xml"),
        (["application/vnd.openstack.compute+json, application/xml;q=0.9"], "json"),
        (["application/xml, application/json"], "json"),
        (["application/json;q=0.5, application/xml"], "xml"),
        (["application/json;q=0.5", "application/xml;q=0.6"], "xml"),
        (["application/xml, */*"], "xml"),
        (["application/xml;q=0.9, */*"], "json"),
        (["application/json;q=0, */*"], "xml"),
        (["application/json;q=0"], "json"),
        (["application/xml;q=0, */*"], "json"),
        (["application/xml;q=0.000"], "json"),
        (["application/xml;q=1.000"], "xml"),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], "xml"),
        (['text/x;a="b,application/xml", application/json;q=0.1'], "json"),
    ],
)
def test_the_best_match_of_accept_decides(accept: list[str], expected: str) -> None:
    assert fault_format("/servers", accept) == (expected, True)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        ",",
        ";",
        "application",
        "application/xml;q=2",
        "application/xml;q=",
        "application/xml;q=0.1234",
        '"',
        "a b/c",
    ],
)
def test_what_is_malformed_is_answered_in_json(accept: str) -> None:
    assert fault_format("/servers", [accept]) == ("json", True)


@given(st.text('aplicton/xmljs*;q=0.15," \\', max_size=40))
def test_never_raises(accept: str) -> None:
    assert fault_format("/", [accept])[0] in ("json", "xml")


@given(st.permutations(["application/xml;q=0.7", "application/json;q=0.6", "text/html", "*/*;q=0.1"]))
def test_the_order_of_ranges_does_not_matter(ranges: list[str]) -> None:
    assert fault_format("/", [", ".join(ranges)]) == fault_format("/", ranges) == ("xml", True)


@pytest.mark.parametrize(
    ("types", "accept", "expected"),
    [
        (["text/plain", "text/html"], [], "text/plain"),
        (["text/plain", "text/html"], ["text/html"], "text/html"),
        (["text/plain", "text/html"], ["text/*"], "text/plain"),
        (["text/plain", "text/html"], ["text/*;q=0.5, text/html"], "text/html"),
        (["text/plain", "image/png"], ["application/*, image/*;q=0.1"], "image/png"),
        (["text/plain"], ["application/json"], None),
        (["text/plain"], ["text/plain;q=0", "*/*"], None),
        (["text/plain"], [""], None),
    ],
)
def test_the_type_that_is_liked_best(types: list[str], accept: list[str], expected: str | None) -> None:
    assert preferred(types, accept) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {}),
        (["gzip"], {"gzip": 1.0}),
        (["GZIP;q=0.5, br ; q=0", "*;Q=0.1"], {"gzip": 0.5, "br": 0.0, "*": 0.1}),
        (["gzip;q=2, br;level=1, a b, , deflate"], {"deflate": 1.0}),
        (['gzip, "'], {}),
    ],
)
def test_weights_of_names(values: list[str], expected: dict[str, float]) -> None:
    assert weights(values) == expected
