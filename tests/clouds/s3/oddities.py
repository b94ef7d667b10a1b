"""What a server in front of SeaweedFS does otherwise: small ones of the tests' own, each as a real one was seen to."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse

from console.clouds.s3api import clients
from console.demo.certificates import certify
from tests.worlds.boto import Body

PARTS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
XML = '<?xml version="1.0" encoding="UTF-8"?>'


def error(request, status, code):
    text = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>" if code else "<html>Go away</html>"
    return AWSResponse(request.url, status, {}, Body(text.encode()))


def answer(request, text, status=200):
    return AWSResponse(request.url, status, {"content-type": "application/xml"}, Body(text.encode()))


@contextmanager
def odd(react):
    """Ask `react(operation, request)` for an answer before the server: None sends the request on."""

    def before_send(request, event_name, **_):
        return react(event_name.split(".")[2], request)

    events = clients.session().events
    events.register("before-send.s3", before_send)
    clients.forget_clients()
    try:
        yield
    finally:
        events.unregister("before-send.s3", before_send)
        clients.forget_clients()


def bucket_in(request):
    return urlsplit(request.url).path.split("/")[1]


class Closing:
    """Keeps a public access block, and refuses this operation of a store's work while one of these parts is on."""

    def __init__(self, *culprits, refuses="PutObject"):
        self.culprits, self.refuses, self.on = culprits, refuses, {}

    def __call__(self, operation, request):
        bucket = bucket_in(request)
        if operation == "PutPublicAccessBlock":
            text = request.body.decode()
            self.on[bucket] = {part for part in PARTS if f"<{part}>true" in text}
            return answer(request, "")
        if operation == "GetPublicAccessBlock":
            if bucket not in self.on:
                return error(request, 404, "NoSuchPublicAccessBlockConfiguration")
            said = "".join(f"<{part}>{str(part in self.on[bucket]).lower()}</{part}>" for part in PARTS)
            return answer(request, f"{XML}<PublicAccessBlockConfiguration>{said}</PublicAccessBlockConfiguration>")
        if operation == self.refuses and self.on.get(bucket, set()) & {*self.culprits}:
            return error(request, 403, "AccessDenied")
        return None


class Policies:
    """Keeps every policy, and follows only those whose condition is one of these."""

    def __init__(self, *followed):
        self.followed, self.kept = followed, {}

    def __call__(self, operation, request):
        bucket = bucket_in(request)
        if operation == "PutBucketPolicy":
            text = request.body.decode() if isinstance(request.body, bytes) else request.body
            self.kept[bucket] = text
            condition = "BoolIfExists" if "BoolIfExists" in text else "Bool"
            if condition not in self.followed:
                return answer(request, "", 204)
        if operation == "GetBucketPolicy" and bucket in self.kept:
            return answer(request, self.kept[bucket])
        if operation == "DeleteBucketPolicy":
            self.kept.pop(bucket, None)
        return None


class Proxy:
    """Ends the TLS before a server that listens for plain HTTP, and says nothing about that."""

    def __init__(self, folder, port):
        ca, certificate, key = certify(folder)
        self.ca_certificate, self.target = ca.read_text(), port
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate, key)
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"https://localhost:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for serving in self.threads:  # they end when the client lets go of its connections
            serving.join(5)

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            serving = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self.threads.append(serving)
            serving.start()

    def _serve(self, plain):
        with (
            plain,
            suppress(OSError),
            self.context.wrap_socket(plain, server_side=True) as near,
            socket.create_connection(("127.0.0.1", self.target)) as far,
        ):
            back = threading.Thread(target=self._pipe, args=(far, near), daemon=True)
            back.start()
            self._pipe(near, far)
            back.join()

    @staticmethod
    def _pipe(source, target):
        with suppress(OSError, ValueError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
