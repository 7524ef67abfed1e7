"""Which files stand beside a configuration, and what is kept of them."""

from pathlib import Path

import pytest

from gateway.config import beside
from gateway.config.beside import contents, further_files, option_files, tls_files
from gateway.config.load import loads
from gateway.registry import Registry

TEXT = """
listen: { address: "127.0.0.1:0", tls: { certificate: l.pem, key: l.key, client_ca: clients.pem } }
admin: { address: "127.0.0.1:0", tls: { certificate: a.pem } }
upstreams:
  compute: { endpoints: ["https://127.0.0.1:1"], tls: { ca: u.pem, certificate: c.pem, key: c.key } }
tracing: { endpoint: "https://127.0.0.1:1", ca: collector.pem }
filters:
  - token_auth:
      providers:
        - static: { file: tokens.yaml }
        - introspection:
            { url: "https://127.0.0.1:1", client_id: weir, client_secret: some-secret, tls: { ca: service.pem } }
routes:
  - name: any
    path: /{rest*}
    upstream: compute
    filters: [ { rate_limit: { limits: [ { rate: 1/day } ], overrides: { file: overrides.yaml } } } ]
"""


def test_every_file_is_found_wherever_it_is_named() -> None:
    found = loads(TEXT, "gateway.yaml", registry=Registry(), environment={}).configuration
    assert option_files(found) == {"tokens.yaml", "overrides.yaml"}
    listener = {"l.pem", "l.key", "clients.pem", "a.pem"}
    assert tls_files(found) == {*listener, "u.pem", "c.pem", "c.key", "collector.pem", "service.pem"}


def test_what_cannot_be_kept_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("a", 4), ("b", 5), ("c", 4), ("d", 3)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert contents(tmp_path, ("a", "b", "absent", "\0"), 4) == {"a": b"xxxx"}
    monkeypatch.setattr(beside, "MAX_KEPT", 7)
    assert contents(tmp_path, ("a", "c", "d"), 4).keys() == {"a", "d"}


def test_what_a_file_names_is_kept_too_unless_it_leads_elsewhere(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.xsd").write_text("<secret/>")
    (inner / "linked.xsd").symlink_to(tmp_path / "secret.xsd")
    (inner / "a.wadl").write_text(
        '<application><grammars><include href="b.xsd"/><include href="linked.xsd"/><include href="absent.xsd"/>'
        '<include href="../secret.xsd"/></grammars></application>'
    )
    (inner / "b.xsd").write_text(
        '<xs:schema><xs:include schemaLocation="c.xsd"/><xs:import schemaLocation="b.xsd"/></xs:schema>'
    )
    (inner / "c.xsd").write_text("<xs:schema/>")
    text = TEXT.replace("filters:\n", "filters:\n  - api: { description: inner/a.wadl }\n", 1)
    found = loads(text, "gateway.yaml", registry=Registry(), environment={}).configuration
    kept = contents(tmp_path, option_files(found), 1000, further_files(found))
    assert kept.keys() == {"inner/a.wadl", "inner/b.xsd", "inner/c.xsd"}
