"""nginx's configurations: as a proxy, bare and with policy, and as the upstream of every proxy."""

import os
from pathlib import Path
from typing import Final

from tests.bench.install import Tools
from tests.bench.setting import Setting
from tests.bench.workload import ALLOWED, BODY_MAX, FILE, UPLOAD_SIZE, answer, download

_VIA: Final = "1.1 nginx"
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_LOG_FORMAT: Final = (
    '{"ts":"$msec","method":"$request_method","uri":"$request_uri","status":$status,"seconds":$request_time,'
    '"id":"req-$request_id","client":"$remote_addr","bytes":$body_bytes_sent}'
)


def command(tools: Tools, path: Path) -> list[str]:
    # `-e`: before it has read its configuration nginx would write to /var/log.
    return [str(tools.nginx), "-e", "stderr", "-c", str(path)]


def configuration(setting: Setting, *, policy: bool, limits: bool = False) -> str:
    """A proxy with one worker, keeping connections on both sides; a bare one may be given four `limits`."""
    http = [
        "access_log off;",
        f"upstream service {{ server 127.0.0.1:{setting.upstream_port}; keepalive 256; "
        "keepalive_requests 1000000000; }",
    ]
    methods = f"if ($request_method !~ ^({'|'.join(ALLOWED)})$) {{ return 405; }}"
    if policy:
        http = [
            "limit_req_zone $http_x_auth_token zone=tokens:10m rate=1000000r/s;",
            f"log_format json escape=json '{_LOG_FORMAT}';",
            f"access_log {setting.log} json buffer=64k;",
            *http[1:],
        ]
        locations = [
            "location = /_auth { internal; proxy_pass http://service/auth; proxy_pass_request_body off; "
            'proxy_set_header Content-Length ""; proxy_set_header Connection ""; }',
            f'location ~ "^/v2/[^/]+/images/{_UUID}/metadata$" {{ {methods} auth_request /_auth; '
            "limit_req zone=tokens burst=1000 nodelay; limit_req_status 413; proxy_pass http://service; }",
            "location / { return 400; }",
        ]
    else:
        refusal = f"{methods} " if setting.methods else ""
        zones = [f"limit{number}" for number in range(4)] if limits else []
        http += [f"limit_req_zone $binary_remote_addr zone={zone}:1m rate=1000000r/s;" for zone in zones]
        refusal += "".join(f"limit_req zone={zone} burst=1000 nodelay; " for zone in zones)
        locations = [f"location / {{ {refusal}proxy_pass http://service; }}"]
    server = [
        f"client_max_body_size {BODY_MAX if policy else 0};",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        # A body passes through as it arrives and none of it waits on a disk. Answers go through nginx's own buffers,
        # as by default: without them a download costs it more.
        "proxy_request_buffering off;",
        "proxy_max_temp_file_size 0;",
        f'add_header Via "{_VIA}" always;',
        'add_header X-Compute-Request-Id "req-$request_id" always;',
        *locations,
    ]
    return _document(setting.directory, setting.port, http, server, setting.connections)


def upstream(directory: Path, port: int, token: str) -> str:
    """The service behind every proxy: one answer, and the check of the token that nginx has to ask for.

    An upload is answered when all of it has been read, and not as soon as its head has: nginx does so for a request
    that it passes on, here to itself and without the body.
    """
    image = directory / "image"
    image.write_bytes(download())
    server = [
        "client_max_body_size 0;",
        f"location /v2/ {{ return 200 '{answer().decode('ascii')}'; }}",
        f'location = /auth {{ if ($http_x_auth_token != "{token}") {{ return 401; }} return 204; }}',
        f"location ~ /{FILE}$ {{ if ($request_method = PUT) {{ rewrite ^ /upload last; }} rewrite ^ /download last; }}",
        f"location = /download {{ internal; alias {image}; }}",
        f"location = /upload {{ internal; client_body_buffer_size {UPLOAD_SIZE}; proxy_pass_request_body off; "
        'proxy_set_header Content-Length ""; proxy_set_header X-Size $content_length; '
        f"proxy_pass http://127.0.0.1:{port}/received; }}",
        "location = /received { return 200 '{\"received\": $http_x_size}'; }",
    ]
    http = ["access_log off;", "default_type application/json;", "sendfile on;"]
    return _document(directory, port, http, server)


def _document(directory: Path, port: int, http: list[str], server: list[str], connections: int = 4096) -> str:
    # Started as root, nginx would hand its workers to another user, who cannot enter the work directory.
    user = ["user root;"] if os.geteuid() == 0 else []
    temporary = [
        f"{kind}_temp_path {directory / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    lines = [
        *user,
        "worker_processes 1;",
        "daemon off;",
        f"pid {directory / 'nginx.pid'};",
        "error_log stderr warn;",
        f"events {{ worker_connections {connections}; }}",
        "http {",
        *(f"  {line}" for line in temporary),
        "  keepalive_requests 1000000000;",
        "  keepalive_timeout 3600s;",
        "  server_tokens off;",
        *(f"  {line}" for line in http),
        "  server {",
        f"    listen 127.0.0.1:{port} backlog=4096;",
        *(f"    {line}" for line in server),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"
