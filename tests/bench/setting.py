"""What the configuration of a subject is written from."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.workload import SigningKey


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a subject lives and listens, and whom it forwards to.

    methods  whether a bare subject, too, refuses methods beyond those allowed: for the workload that is refused
    """

    directory: Path
    port: int
    admin_port: int
    upstream_port: int
    key: SigningKey = field(default_factory=SigningKey)
    methods: bool = False

    @property
    def log(self) -> Path:
        return self.directory / "request.log"

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path
