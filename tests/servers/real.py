"""What every real server is to the tests; TLS in front of those that have none; where the programs of others are."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from console.demo.certificates import NAME, certify
from console.demo.servers import HOST, free_port, start_server, stop_server, takes_connections

# What `make servers` puts beside Python's own environment.
TOOLS = Path(os.environ.get("SERVERS_TOOLS", Path(__file__).parents[2] / ".venv/servers"))


class Missing(Exception):
    """A program that a server needs is not on this machine; says which, and how to get it."""


@dataclass(frozen=True)
class Key:
    """An access key: its ID and its secret."""

    id: str
    secret: str


@dataclass(frozen=True)
class Server:
    """A server that runs: where it is, and with what the console and, where it makes no users, a node sign in."""

    endpoint: str
    ca_file: Path
    key: Key
    node: Key
    region: str = "us-east-1"
    log: list[Path] = field(default_factory=list)


def program(name: str, package: str) -> str:
    """Return where a program is; raises Missing, which names the package that has it."""
    places = f"{TOOLS}/venv/bin:{TOOLS}/npm/node_modules/.bin:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(name, path=places)
    if not found:
        raise Missing(f"{name} is not installed: it comes with {package} (make servers).")
    return found


def run(*command: object, **options) -> str:
    """Run a command that prepares a server, and return what it printed; raises with all that it said."""
    ran = subprocess.run(
        [str(one) for one in command], check=False, capture_output=True, text=True, timeout=120, **options
    )
    if ran.returncode:
        raise RuntimeError(f"{command} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


@contextmanager
def child(name, command, folder, port, environment=None, seconds=90):
    """Run a server until the end of the block; it answers when its port does."""
    folder.mkdir(parents=True, exist_ok=True)
    process = start_server(
        name,
        [str(one) for one in command],
        folder=folder,
        environment={key: str(value) for key, value in (environment or {}).items()},
        answers=lambda: takes_connections(port),
        seconds=seconds,
    )
    try:
        yield process
    finally:
        stop_server(process)


NGINX = """{user}daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_max_body_size 0;
{places}
  server {{
    listen {host}:{port} ssl;
    server_name {name};
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ignore_invalid_headers off;
    proxy_buffering off;
    proxy_request_buffering off;
    location / {{
      proxy_pass http://{host}:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


@contextmanager
def behind_nginx(folder: Path, upstream: int):
    """End TLS in nginx before a server that speaks plain HTTP, as most sites do; lends endpoint and CA file."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_file, certificate, key = certify(folder)
    kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    port = free_port()
    text = NGINX.format(
        user="user root;\n" if os.geteuid() == 0 else "",
        folder=folder,
        places="\n".join(f"  {one}_temp_path {folder}/{one};" for one in kept),
        host=HOST,
        port=port,
        name=NAME,
        certificate=certificate,
        key=key,
        upstream=upstream,
    )
    (folder / "nginx.conf").write_text(text)
    command = [
        program("nginx", "Debian's nginx"),
        "-p",
        folder,
        "-c",
        folder / "nginx.conf",
        "-e",
        folder / "error.log",
    ]
    with child("nginx", command, folder, port):
        yield f"https://{NAME}:{port}", ca_file
