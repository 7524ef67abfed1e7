"""The configuration as typed values."""

import pytest
from pydantic import ValidationError

from gateway.config.model import (
    Address,
    ClientTimeouts,
    CollectorURL,
    Configuration,
    Endpoint,
    Limits,
    Log,
    Place,
    Route,
    UnixAddress,
    Upstream,
    UpstreamEndpoint,
    UpstreamTimeouts,
    UpstreamTls,
    Via,
    admin_at,
    listen_at,
    parse_address,
    parse_collector,
    parse_endpoint,
    parse_place,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        ("[2001:DB8:0::1]:65535", Address("2001:db8::1", 65535)),
        ("Gateway.Example:80", Address("gateway.example", 80)),
    ],
)
def test_reads_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "a:",
        ":80",
        "a:b",
        "a:-1",
        "a:65536",
        "a:٣",
        "::1:80",
        "[::1]",
        "[::g]:80",
        "1.2.3:80",
        "1.2.3.256:80",
        "a..b:1",
        "-a:1",
        "a/b:1",
        f"{'a' * 64}:1",
    ],
)
def test_refuses_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected host:port|a port is 0 to 65535"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "endpoint", "authority"),
    [
        ("http://a:8774", Endpoint("a", 8774), "a:8774"),
        ("HTTP://a", Endpoint("a", 80), "a"),
        ("http://[::1]", Endpoint("::1", 80), "[::1]"),
        ("http://[::1]:81", Endpoint("::1", 81), "[::1]:81"),
        ("http://unix:80", Endpoint("unix", 80), "unix"),
        ("https://a", Endpoint("a", 443, "https"), "a"),
        ("https://a:80", Endpoint("a", 80, "https"), "a:80"),
        ("HTTPS://[::1]:443", Endpoint("::1", 443, "https"), "[::1]"),
        ("unix:///run/a.sock", Endpoint("", 0, "unix", "/run/a.sock"), "localhost"),
        ("unix:///a b?c#d:", Endpoint("", 0, "unix", "/a b?c#d:"), "localhost"),
    ],
)
def test_reads_endpoints(text: str, endpoint: Endpoint, authority: str) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint
    assert endpoint.authority == authority


@pytest.mark.parametrize(
    ("text", "collector"),
    [
        ("http://a", CollectorURL("http", "a", 80, "/v1/traces")),
        ("http://a:4318/", CollectorURL("http", "a", 4318, "/v1/traces")),
        ("https://A:4318/x/y", CollectorURL("https", "a", 4318, "/x/y")),
        ("http://[::1]:1/x", CollectorURL("http", "::1", 1, "/x")),
    ],
)
def test_reads_collectors(text: str, collector: CollectorURL) -> None:
    assert parse_collector(text) == collector
    assert parse_collector(str(collector)) == collector


@pytest.mark.parametrize(
    "text",
    [
        *("", "a:4318", "http://", "http:///v1/traces", "grpc://a:4317", "unix:///run/otel.sock"),
        *(
            "http://a:0",
            "http://a b",
            "http://a/x y",
            "http://a/?x",
            "http://a/#x",
            "http://a/x\r\nHost: b",
            "http://a/\xe9",
        ),
        "http://user:password@a",
    ],
)
def test_refuses_what_is_no_collector_and_tells_no_password(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected the URL of a collector|no user or password") as caught:
        parse_collector(text)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:80",
        "http://",
        "http://:80",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a/",
        "http://a?",
        "http://a#",
        "http://u@a",
        "https://",
        "https:a",
        "https://a/",
        "ftp://a",
        "h2c://a",
        "unix:///",
        "unix:///a/",
        "UNIX:///a",
        "http://[::1",
        "http://a b",
    ],
)
def test_refuses_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint|http|path of a socket"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "unix:/run/a.sock",
        "unix:run/a.sock",
        "unix://run/a.sock",
        "unix//run/a.sock",
        "unix@/run/a.sock",
        "http://unix:/run/a.sock",
        "http://unix:/run/a.sock:",
        "/run/a.sock",
    ],
)
def test_knows_a_socket_in_the_spelling_of_others(text: str) -> None:
    with pytest.raises(ValueError, match=r"a socket is written unix:///run/a\.sock, not"):
        parse_endpoint(text)


def test_an_endpoint_is_named_in_records_by_what_is_connected_to() -> None:
    addresses = [parse_endpoint(text).address for text in ("https://a", "http://[::1]:81", "unix:///run/a")]
    assert addresses == ["a:443", "[::1]:81", "unix:///run/a"]


def test_the_path_of_a_socket_is_one_that_the_kernel_takes() -> None:
    longest = "unix:///" + "a" * 106
    assert parse_endpoint(longest).path == longest.removeprefix("unix://")
    for text in (longest + "a", "unix:///" + "ž" * 54, "unix:///a\0b"):
        with pytest.raises(ValueError, match="the path of a socket"):
            parse_endpoint(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[fe80::1%eth0]:80", Address("fe80::1%eth0", 80)),
        ("unix:8080", Address("unix", 8080)),
        ("unix:/run/weir.sock", UnixAddress("/run/weir.sock")),
        ("unix:///run/weir.sock", UnixAddress("/run/weir.sock")),
        ("unix:run/weir.sock", UnixAddress("run/weir.sock")),
    ],
)
def test_a_place_is_read_as_it_is_written(text: str, place: Place) -> None:
    assert parse_place(text) == place
    assert parse_place(str(place)) == place
    assert listen_at(text).place == place
    assert str(listen_at(text)) == str(place)


@pytest.mark.parametrize(
    "text",
    [
        *("unix:", "unix:/run/", "unix:/a\0b", "unix:" + "x" * 108, "unix", "/run/weir.sock"),
        *("[fe80::1%]:80", "[fe80::1%a b]:80", "[fe80::1%25%25]:80", "[127.0.0.1%lo]:80"),
    ],
)
def test_refuses_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|path"):
        parse_place(text)


def test_is_frozen_and_refuses_unknown_keys() -> None:
    with pytest.raises(ValidationError):
        Limits().pipeline = 3
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Limits.model_validate({"pipline": 3})


def test_defaults_are_safe_ones() -> None:
    configuration = Configuration.model_validate(
        {
            "upstreams": {"a": {"endpoints": ["http://a"]}},
            "routes": [{"name": "r", "path": "/", "upstream": "a"}],
        }
    )
    assert [listen.place for listen in configuration.listen] == [Address("127.0.0.1", 8080)]
    assert configuration.admin == admin_at("127.0.0.1:9901")
    assert configuration.trusted_proxies == ()
    assert configuration.routes[0].target == "strict"
    assert configuration.log.hash_key is None
    assert (configuration.limits.header_count, configuration.limits.header_size) == (128, 65536)


@pytest.mark.parametrize(
    "model", [Configuration, Upstream, UpstreamTimeouts, UpstreamTls, Route, Limits, ClientTimeouts, Via, Log]
)
def test_every_option_is_described(model: type[Configuration]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    "host", ["keep", "upstream", "api.example.com", "api.example.com:8443", "[::1]", "[::1]:80"]
)
def test_takes_a_host_to_send(host: str) -> None:
    assert Upstream(endpoints=(UpstreamEndpoint(url=Endpoint("a", 1)),), host=host).host == host


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a:b", "a:65536", "http://a", "a@b", "a,b"])
def test_refuses_a_host_that_could_not_be_sent(host: str) -> None:
    with pytest.raises(ValidationError, match="expected keep, upstream"):
        Upstream(endpoints=(UpstreamEndpoint(url=Endpoint("a", 1)),), host=host)


@pytest.mark.parametrize(
    ("written", "share"), [("100%", 1.0), ("12.5%", 0.125), (10, 0.1), (0, 0.0), (0.5, 0.005)]
)
def test_shares_are_percent(written: object, share: float) -> None:
    assert parse_share(written) == pytest.approx(share)


@pytest.mark.parametrize("written", ["10", "101%", "-1%", 101, -1, True, None, "a%", "1e1%", float("nan")])
def test_no_other_shares(written: object) -> None:
    with pytest.raises(ValueError, match="expected a share such as 10%"):
        parse_share(written)
