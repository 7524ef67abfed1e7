"""Compiles the hot modules when a wheel is built with WEIR_COMPILE=1 in the environment; without it nothing happens.

mypyc makes C of the modules named in pyproject.toml, by their type annotations. They stay ordinary Python as well: the
wheel holds both, an import takes the compiled one, and a machine without a compiler builds a wheel that is slower and
otherwise the same. WEIR_COMPILE_LEVEL is the C compiler's level of optimisation, 2 by default: 0 takes it half the time.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

level = sys.argv.pop()
options = ["--config-file=", "--strict", "--no-warn-unused-ignores", "--ignore-missing-imports"]
setup(
    name="weir-compiled",
    packages=[],
    ext_modules=mypycify([*options, *sys.argv.pop().split(",")], opt_level=level, debug_level="0", group_name="weir"),
)
"""


class CompileHook(BuildHookInterface[Any]):
    """Adds the compiled modules to the wheel."""

    def _compiles(self) -> bool:
        return self.target_name == "wheel" and os.environ.get("WEIR_COMPILE") == "1"

    def dependencies(self) -> list[str]:
        if not self._compiles():
            return []
        # mypyc reads the types of what is imported.
        return [*self.config["requires"], *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or not self._compiles():
            return
        root = Path(self.root)
        made = root / "build" / f"compiled-{sys.implementation.cache_tag}"
        level = os.environ.get("WEIR_COMPILE_LEVEL", "2")
        # pip builds a wheel twice, the first time for its metadata alone.
        stamp, inputs = made / "inputs", _inputs(root, level)
        if not stamp.is_file() or stamp.read_text() != inputs:
            self._compile(root, made, level)
            stamp.write_text(inputs)
        for library in sorted(made.rglob("*.so")):
            build_data["force_include"][str(library)] = str(library.relative_to(made))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _compile(self, root: Path, made: Path, level: str) -> None:
        shutil.rmtree(made, ignore_errors=True)  # a module that is gone would leave its library
        modules = [path for pattern in self.config["modules"] for path in sorted(root.glob(pattern))]
        names = ",".join(str(path.relative_to(root)) for path in modules)
        command = [
            sys.executable,
            "-c",
            _SETUP,
            "build_ext",
            f"--build-lib={made}",
            f"--build-temp={made}/temp",
        ]
        # What is generated is warned of at length: the warnings take the compiler several times as long as the code. No function of
        # the library is called from outside of it but by pointers: what is hidden is called directly, and may be inlined.
        flags = f"{os.environ.get('CFLAGS', '')} -fvisibility=hidden -Wno-all -Wno-misleading-indentation"
        environment = {**os.environ, "CFLAGS": flags}
        if subprocess.run([*command, names, level], cwd=root, env=environment, check=False).returncode:  # noqa: S603 - all of it is ours
            raise SystemExit(
                "WEIR_COMPILE=1 needs a C compiler and Python's headers: gcc and python3-dev, say."
            )


def _inputs(root: Path, level: str) -> str:
    """Changes with all that the libraries are made of."""
    told = hashlib.sha256(f"{sys.version} {level}".encode())
    for pattern in ("*.toml", "*.py", "gateway/**/*.py", "filters/**/*.py"):
        for path in sorted(root.glob(pattern)):
            told.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()
