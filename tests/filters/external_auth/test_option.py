"""What can be said of a service, and what cannot."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters.external_auth.option import ExternalAuthConfig
from gateway.api.fact import CLIENT, HOST, METHOD, SCHEME, TARGET, header

URL = "http://127.0.0.1:9000/verify"


def test_credentials_go_to_the_service_unless_said_otherwise() -> None:
    config = ExternalAuthConfig.model_validate({"url": URL})
    assert config.request_headers == ("Authorization", "Cookie", "X-Auth-Token")
    assert config.reads() == {
        *(METHOD, TARGET, HOST, SCHEME, CLIENT),
        *(header(name) for name in ("authorization", "cookie", "x-auth-token")),
    }


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": "ftp://x/"}, "http or https URL"),
        ({"url": "http://u:p@x/"}, "http or https URL"),
        ({"url": "http://x/?a=b"}, "http or https URL"),
        ({"url": "http://x:99999/"}, "http or https URL"),
        ({"request_headers": ["Content-Length"]}, "belongs to one message"),
        ({"request_headers": ["X-Forwarded-For"]}, "gateway's own word"),
        ({"request_headers": ["X-Original-URI"]}, "gateway's own word"),
        ({"response_headers": ["Transfer-Encoding"]}, "belongs to one message"),
        ({"response_headers": ["a b"]}, "not a header name"),
        ({"relay_headers": ["Set-Cookie"]}, "no meaning with convention: nginx"),
        ({"principal": {"roles": "X-R"}}, "a principal is somebody"),
        ({"cache": {"headers": ["X-Other"]}}, "not among request_headers"),
        ({"cache": {"headers": [], "by_request": False}}, "everybody's"),
        ({"request_headers": [], "cache": {"by_request": False}}, "everybody's"),
        ({"timeout": 0}, "greater than or equal to 0.05"),
        ({"on_error": "open"}, "deny"),
    ],
)
def test_what_has_no_meaning_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ExternalAuthConfig.model_validate({"url": URL, **options})
