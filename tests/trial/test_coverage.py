"""Which parts of a configuration are come to."""

from typing import Any

from gateway.trial.coverage import Coverage
from tests.trial.tried import given, tried

OPTIONS: dict[str, Any] = {
    "routes": [
        {"name": "one", "path": "/one", "upstream": "main", "filters": [{"methods": {"allow": ["GET"]}}]},
        {"name": "two", "path": "/two", "upstream": "main"},
    ],
    "filters": [
        {
            "rate_limit": {
                "limits": [
                    {"name": "reads", "rate": "9/minute", "methods": ["GET"]},
                    {"name": "writes", "rate": "9/minute", "methods": ["POST"]},
                ]
            }
        },
        {"body_size": {"max": 1, "when": {"method": "POST"}}},
    ],
}


async def test_what_is_come_to_and_what_is_not() -> None:
    async with tried(**OPTIONS) as trial:
        coverage = Coverage(trial.plan)
        assert coverage.counts() == {"route": (0, 2), "filter": (0, 3), "limit": (0, 2), "condition": (0, 2)}
        coverage.see(await trial.run(given(target="/one")))
        assert coverage.counts() == {"route": (1, 2), "filter": (2, 3), "limit": (1, 2), "condition": (1, 2)}
        assert [(part.kind, part.name) for part in coverage.missed()] == [
            ("route", "two"),
            ("limit", "rate_limit: writes"),
            ("filter", "body_size"),
            ("condition", "body_size: holds"),
        ]
        coverage.see(await trial.run(given("POST", "/two", body=b"12")))
        assert list(coverage.missed()) == []


async def test_what_is_undecidable_is_not_come_to() -> None:
    keystone = {
        "token_auth": {
            "providers": [
                {"introspection": {"url": "http://i.invalid/", "client_id": "a", "client_secret": "b"}}
            ]
        }
    }
    async with tried(filters=[keystone]) as trial:
        coverage = Coverage(trial.plan)
        coverage.see(await trial.run(given(headers=(("X-Auth-Token", "t"),))))
        assert [part.name for part in coverage.missed()] == ["token_auth"]
