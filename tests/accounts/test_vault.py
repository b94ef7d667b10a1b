"""Keys that a vault has wrapped: against what speaks as Vault does, against what does not, and against a real one."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from console.accounts import vault
from console.accounts.encryption import cipher
from console.demo.servers import free_port

TOKEN, KEY = "a-token-of-ours", Fernet.generate_key().decode()
WRAPPED = "vault:v1:AAAA"
BAO = Path(sys.executable).with_name("bao")  # a real one: OpenBao


class Transit(BaseHTTPRequestHandler):
    """Answers one decryption, as the documentation of the API shows it."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        status, answer = 200, {"data": {"plaintext": base64.b64encode(KEY.encode()).decode()}}
        if self.headers["X-Vault-Token"] != TOKEN:
            status, answer = 403, {"errors": ["permission denied"]}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def transit(settings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Transit)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.VAULT_ADDR, settings.VAULT_TOKEN = f"http://127.0.0.1:{server.server_port}", TOKEN
    settings.FIELD_ENCRYPTION_KEYS = [f" {WRAPPED}"]
    vault.unwrap.cache_clear()
    yield server
    server.shutdown()
    server.server_close()
    vault.unwrap.cache_clear()


def test_unwrap_has_the_vault_open_the_key_once(transit):
    assert Fernet(KEY).decrypt(cipher().encrypt(b"a secret")) == b"a secret"
    assert cipher().decrypt(Fernet(KEY).encrypt(b"another")) == b"another"
    [(path, headers, body)] = transit.asked
    assert (path, body) == ("/v1/transit/decrypt/storekeeper", {"ciphertext": WRAPPED})
    assert headers["X-Vault-Token"] == TOKEN


def test_unwrap_says_why_not_and_tries_again(transit, settings):
    settings.VAULT_TOKEN = "expired"
    settings.FIELD_ENCRYPTION_KEYS = ["vault:v1:another"]
    with pytest.raises(ImproperlyConfigured, match=r"unwraps no key \(403\): 'permission denied'") as raised:
        cipher()
    assert "expired" not in str(raised.value)
    settings.VAULT_TOKEN = TOKEN
    assert cipher()


def test_unwrap_without_a_vault(settings):
    settings.FIELD_ENCRYPTION_KEYS, settings.VAULT_ADDR = ["vault:v1:nowhere"], ""
    with pytest.raises(ImproperlyConfigured, match="set VAULT_ADDR and VAULT_TOKEN"):
        cipher()


@pytest.mark.parametrize("address", ["http://vault.example.org:8200", "ftp://127.0.0.1", "vault.example.org"])
def test_unwrap_sends_no_token_in_plain_text(settings, address):
    settings.VAULT_ADDR, settings.VAULT_TOKEN = address, TOKEN
    with pytest.raises(ImproperlyConfigured, match="begins with https://"):
        vault.unwrap("vault:v1:plain")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PEERS = {
    "nothing": [b""],
    "no json": [HEAD + b"Content-Length: 2\r\n\r\n{x"],
    "a list": [HEAD + b"Content-Length: 2\r\n\r\n[]"],
    "no key": [HEAD + b'Content-Length: 23\r\n\r\n{"data": {"plaintext":1}'],
    "not base64": [HEAD + b'\r\n{"data": {"plaintext": "!"}}'],
    "no end": [HEAD + b"\r\n", *[b"x" * 100_000] * 50],
    "many heads": [HEAD, *[b"X-A: " + b"x" * 60_000 + b"\r\n"] * 200],
    "drips": [HEAD + b"\r\n", *[b" "] * 100],
    "drips heads": [HEAD, *[b"X-A: b\r\n"] * 90],
}


@pytest.mark.parametrize("peer", PEERS)
def test_unwrap_outlasts_whoever_answers(settings, monkeypatch, peer):
    monkeypatch.setattr(vault, "SECONDS", 1)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        stream, _ = listener.accept()
        with stream:
            stream.recv(10_000)
            try:
                for part in PEERS[peer]:
                    stream.sendall(part)
                    if "drips" in peer:
                        time.sleep(0.2)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    settings.VAULT_ADDR, settings.VAULT_TOKEN = f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN
    began = time.monotonic()
    with pytest.raises(ImproperlyConfigured, match="The vault at") as raised:
        vault.unwrap(f"vault:v1:{peer}")
    assert time.monotonic() - began < 15  # all that drips takes eighteen seconds and more
    assert TOKEN not in str(raised.value)
    assert len(str(raised.value)) < 1000
    listener.close()


@pytest.mark.slow
def test_a_real_vault_unwraps_keys_and_refuses_others(settings, tmp_path):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    options = [f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={TOKEN}", "-dev-no-store-token"]
    server = subprocess.Popen(
        [BAO, "server", "-dev", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path
    )

    def ask(path, body, token=TOKEN):
        request = urllib.request.Request(
            f"{address}/v1/{path}", json.dumps(body).encode(), {"X-Vault-Token": token}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read() or b"{}")

    try:
        for _ in range(100):
            try:
                ask("sys/mounts/transit", {"type": "transit"})
                break
            except OSError:
                time.sleep(0.2)
        ask("transit/keys/storekeeper", {})
        plain = base64.b64encode(KEY.encode()).decode()
        wrapped = ask("transit/encrypt/storekeeper", {"plaintext": plain})["data"]["ciphertext"]
        rule = 'path "transit/decrypt/storekeeper" { capabilities = ["update"] }'  # as README has it
        ask("sys/policies/acl/storekeeper", {"policy": rule})
        settings.VAULT_ADDR = address
        settings.VAULT_TOKEN = ask("auth/token/create", {"policies": ["storekeeper"]})["auth"]["client_token"]
        settings.FIELD_ENCRYPTION_KEYS = [wrapped]
        assert Fernet(KEY).decrypt(cipher().encrypt(b"a secret")) == b"a secret"
        ask("transit/keys/storekeeper/rotate", {})
        vault.unwrap.cache_clear()
        assert vault.unwrap(wrapped) == KEY
        with pytest.raises(ImproperlyConfigured, match=r"unwraps no key \(400\)"):
            vault.unwrap(f"{wrapped[:-8]}AAAAAAA=")
        settings.VAULT_TOKEN = ask("auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
        vault.unwrap.cache_clear()
        with pytest.raises(ImproperlyConfigured, match=r"\(403\).*permission denied"):
            vault.unwrap(wrapped)
    finally:
        server.terminate()
        server.wait(10)
        vault.unwrap.cache_clear()
