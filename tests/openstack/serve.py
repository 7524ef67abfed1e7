"""Serves a WSGI application of OpenStack on loopback: `python serve.py PORT MODULE READY REQUESTS PREFIX`, run by the Python
that has it.

PORT 0 takes a free one. The port is written into the file READY once connections are accepted, and each request into
REQUESTS, a line of JSON. The application is mounted at / and, as WSGI servers do it (PEP 3333, SCRIPT_NAME), at PREFIX.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

_TOLD = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "HTTP_VIA", "HTTP_USER_AGENT")


class Mounted:
    """The application at both places, and a line for each request that it gets."""

    def __init__(self, application: Any, prefix: str, requests: Path) -> None:
        self._application = application
        self._prefix = prefix
        self._requests = requests.open("a", buffering=1)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = self._prefix, path.removeprefix(self._prefix)
        print(json.dumps([environ.get(name) for name in _TOLD]), file=self._requests)
        return self._application(environ, start_response)


def main() -> None:
    port, module, ready, requests, prefix = sys.argv[1:]
    sys.argv = [module]  # OpenStack's modules read it when they are imported
    application: Any = importlib.import_module(module).application
    waitress: Any = importlib.import_module("waitress")
    server = waitress.create_server(
        Mounted(application, prefix, Path(requests)),
        host="127.0.0.1",
        port=int(port),
        threads=1,  # SQLite is locked by whoever writes
        ident=None,
        clear_untrusted_proxy_headers=False,
    )
    new = Path(ready).with_suffix(".new")
    new.write_text(str(server.effective_port))
    new.rename(ready)
    server.run()


if __name__ == "__main__":
    main()
