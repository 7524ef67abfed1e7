"""What the configuration of a subject is written from."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.workload import METADATA, SigningKey


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a subject lives and listens, and whom it forwards to.

    methods      whether a bare subject, too, refuses methods beyond those allowed: for the workload that is refused
    leaf         what of the image is asked for
    connections  how many clients and upstream connections together it must be able to hold
    """

    directory: Path
    port: int
    admin_port: int
    upstream_port: int
    key: SigningKey = field(default_factory=SigningKey)
    methods: bool = False
    leaf: str = METADATA
    connections: int = 4096

    @property
    def log(self) -> Path:
        return self.directory / "request.log"

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return path
