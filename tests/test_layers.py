"""Who may import whom: the layers of the tree, read from the imports of every module."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each layer may import itself and those below it, never one above.
LAYERS = (
    ("cli", "app", "alone", "supervisor"),
    ("listener", "admin", "inspect", "demo", "trial", "backtest", "replay", "migration"),
    (
        *(
            "plan",
            "buckets",
            "chain",
            "router",
            "upstream",
            "faults",
            "config",
            "registry",
            "condition",
            "state",
            "shared",
            "store",
            "redirection",
            "secret_hash",
            "description",
        ),
        *(
            "record",
            "excerpt",
            "flow",
            *("line_format", "ecs", "log_copy"),
            "redaction",
            "sampling",
            "serializer",
            "request_log",
            "request_trace",
            "metrics",
            "application_log",
            "console",
            "loop",
            "ending",
            "task",
            "tls",
            *(
                "trace",
                "tracing",
                "span",
                "collector",
                "exporter",
                "otlp",
                "log_export",
                "log_record",
                "trouble",
            ),
            "wheel",
        ),
    ),
    ("api",),
    ("http",),
)
RANK = {name: len(LAYERS) - number for number, names in enumerate(LAYERS) for name in names}

AIOHTTP = ("listener", "upstream", "admin", "app", "demo")
SOCKETS = {"aiohttp", "asyncio", "socket", "ssl", "selectors", "http.client", "urllib.request", "httptools"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def part(path: Path) -> str:
    return path.relative_to(ROOT / "gateway").with_suffix("").parts[0]


@pytest.mark.parametrize("path", modules("gateway"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_its_own_layer_and_those_below(path: Path) -> None:
    own = part(path)
    if own == "__init__":
        return
    assert own in RANK, f"gateway/{own} has no place in the layers"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "filters":
            raise AssertionError("filters are imported by name, in the registry only")
        if parts[0] != "gateway" or len(parts) < 2 or parts[1] not in RANK:
            continue
        assert RANK[parts[1]] <= RANK[own], f"{own} imports {name}, which is above it"
        if own in ("api", "http"):
            assert parts[1] in ("api", "http") if own == "api" else parts[1] == "http"


@pytest.mark.parametrize("path", modules("gateway"), ids=lambda path: str(path.relative_to(ROOT)))
def test_aiohttp_is_imported_where_the_network_is_and_nowhere_else(path: Path) -> None:
    if any(name.split(".")[0] == "aiohttp" for name in imports(path)):
        assert part(path) in AIOHTTP


@pytest.mark.parametrize("path", modules("filters"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_filter_imports_the_contract_the_rules_and_its_own_helpers(path: Path) -> None:
    package = path.relative_to(ROOT / "filters").parts[0].removesuffix(".py")
    for name in imports(path):
        top = name.split(".")[0]
        assert name not in SOCKETS, f"{name}: the network comes from Services"
        assert top != "aiohttp"
        if top == "gateway" and name != "gateway":
            assert name.startswith(("gateway.api", "gateway.http", "gateway.description")), name
        elif top == "filters" and name != "filters":
            helper = name.split(".")[1]
            assert helper.startswith("_") or helper == package, f"{name} is another filter"


@pytest.mark.parametrize("package", ["gateway", "filters"])
def test_every_module_has_a_test_of_its_name(package: str) -> None:
    missing = []
    for path in modules(package):
        relative = path.relative_to(ROOT / "gateway" if package == "gateway" else ROOT)
        if path.name in ("__init__.py", "__main__.py"):
            continue
        name = path.stem
        places = [
            ROOT / "tests" / relative.parent / f"test_{name}.py",
            ROOT / "tests" / relative.parent / f"test_{name.lstrip('_')}.py",
        ]
        if not any(place.is_file() for place in places):
            missing.append(str(relative))
    assert missing == []


def test_every_directory_of_tests_is_a_package() -> None:
    bare = [
        str(directory.relative_to(ROOT))
        for directory in (ROOT / "tests").rglob("*")
        if directory.is_dir() and list(directory.glob("*.py")) and not (directory / "__init__.py").is_file()
    ]
    assert bare == []
