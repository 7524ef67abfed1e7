"""Serves a WSGI application of OpenStack on loopback: `python serve.py PORT MODULE FILE`, run by the Python that has it.

PORT 0 takes a free one. The port is written into FILE once connections are accepted.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    port, module, ready = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    sys.argv = [module]  # OpenStack's modules read it when they are imported
    application: Any = importlib.import_module(module).application
    waitress: Any = importlib.import_module("waitress")
    # One thread: SQLite is locked by whoever writes.
    server = waitress.create_server(application, host="127.0.0.1", port=port, threads=1, ident=None)
    ready.with_suffix(".new").write_text(str(server.effective_port))
    ready.with_suffix(".new").rename(ready)
    server.run()


if __name__ == "__main__":
    main()
