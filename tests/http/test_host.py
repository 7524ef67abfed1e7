import pytest

from gateway.http.host import name_of, valid


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"api.test",
            b"API.test:8080",
            b"localhost:",
            b"192.0.2.1:0",
            b"a_b~c!$&'()*+;=",
            b"h:65535",
            b"h:00080",
        ),
        *(b"[::1]", b"[2001:db8::1]:443", b"[::ffff:192.0.2.1]"),
    ],
)
def test_accepts_a_host(value: bytes) -> None:
    assert valid(value)


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"",
            b":80",
            b"a b",
            b" a",
            b"a\t",
            b"a\n",
            b"a,b",
            b"a/b",
            b"a@b",
            b"a?b",
            b"a#b",
            b"a%41",
            b"a\\b",
        ),
        *(b"h:65536", b"h:999999", b"h:-1", b"h:8a", b"h:80:80", b"::1", b"caf\xe9", b'"a"', b"a\x00"),
        *(b"[::1", b"[]", b"[::1]a", b"[1:2]", b"[::1%eth0]", b"[v1.x]", b"[192.0.2.1]", b"[::1]:65536"),
        b"h:" + b"9" * 5000,
    ],
)
def test_refuses_what_is_no_host(value: bytes) -> None:
    assert not valid(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("API.Test", "api.test"),
        ("api.test:8080", "api.test"),
        ("api.test.:80", "api.test"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
    ],
)
def test_names_the_host_without_its_port(value: str, name: str) -> None:
    assert name_of(value) == name
