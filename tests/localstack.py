"""The contract of AWS on LocalStack, a second emulated Amazon: `make localstack-test` (python -m tests.localstack).

LocalStack 4 runs without a token of its makers', on Python 3.13, whatever it says: LOCALSTACK_PYTHON names one.
It needs older releases of two packages than it asks for. It checks neither signatures nor policies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import boto3

from console.clouds.aws.boundary import BOUNDARY, boundary
from console.demo.servers import HOST, free_port

PINS = (
    "localstack-core[base-runtime]==4.14.0",
    "moto-ext==5.1.54",  # what its STS and IAM are made of
    "cbor2==5.7.1",  # later ones have no cbor2._decoder, which it imports
    "pyopenssl==25.3.0",  # later ones cannot add extensions to a certificate
    "service-identity",  # which its Twisted imports
)
HOME = Path(".localstack")
ACCOUNT = "000000000000"  # of every access key
KEY = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "any"}


def install() -> Path:
    """Return the Python that has LocalStack, in a virtual environment of its own."""
    python, installed = HOME / "bin" / "python", HOME / "installed"
    if not installed.exists() or installed.read_text() != "\n".join(PINS):
        newer = os.environ.get("LOCALSTACK_PYTHON") or shutil.which("python3.13")
        if not newer:
            raise SystemExit("LocalStack takes Python 3.13: name one in LOCALSTACK_PYTHON.")
        subprocess.run([newer, "-m", "venv", str(HOME)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PINS], check=True)
        installed.write_text("\n".join(PINS))
    return python.absolute()


def start(python: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start it on the loopback interface alone, with the services that we use, and nothing reported home."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "FILESYSTEM_ROOT": str(folder / "files"),
        "GATEWAY_LISTEN": f"{HOST}:{port}",
        "SERVICES": "s3,sts,iam",
        "STRICT_SERVICE_LOADING": "1",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }
    log = (folder / "log").open("wb")
    command = [str(python), "-m", "localstack.runtime.main"]
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    until = time.monotonic() + 180
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, ValueError):
            health = urllib.request.urlopen(f"http://{HOST}:{port}/_localstack/health", timeout=5)
            if json.load(health)["services"]["s3"] in {"available", "running"}:
                return process
        time.sleep(1)
    process.kill()
    raise SystemExit((folder / "log").read_text()[-3000:])


def main() -> int:
    """Run the contract there, as on a real account; returns what pytest does."""
    python, port = install(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = start(python, Path(folder), port)
        try:
            url = f"http://{HOST}:{port}"
            signed = {f"aws_{name}": value for name, value in KEY.items()}
            iam = boto3.client("iam", endpoint_url=url, region_name="us-east-1", **signed)
            iam.create_policy(PolicyName=BOUNDARY, PolicyDocument=json.dumps(boundary(ACCOUNT)))
            live = {"LIVE_PROVIDER": "aws", "LIVE_METHOD": "access_key", "LIVE_REGION": "eu-west-1"}
            live |= {f"LIVE_{name.upper()}": value for name, value in KEY.items()}
            command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/clouds/contract"]
            command += ["-m", "not emulated", *sys.argv[1:]]
            return subprocess.run(command, env={**os.environ, **live, "AWS_ENDPOINT_URL": url}, check=False).returncode
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
