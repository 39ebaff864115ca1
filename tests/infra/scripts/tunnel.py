"""Servers of Microsoft as a script reaches them: by their own names over TLS. A proxy answers in their place."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography import x509

from local.tenant.certificate import tls_context

Entity = dict[str, Any]
Query = Mapping[str, str]
Answer = Callable[[str, str, Query, Entity], Entity | None]
"""What a server does with a method, a path, the options of the query and a body. It may raise Refused."""

TENANT = "7c1f8e2a-4d3b-4f6a-9b0e-2d5c8a1e7f90"
"""The tenant of each server."""
TOKEN = "token-of-the-admin"
"""The token that the servers accept."""


class Refused(Exception):
    """An answer with an error, as Graph and the other servers of Azure write it."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.inner = status, code, inner

    @property
    def content(self) -> Entity:
        exact = {"innererror": {"code": self.inner}} if self.inner else {}
        return {"error": {"code": self.code, "message": str(self), **exact}}


@contextmanager
def serving(servers: Mapping[str, Answer], folder: Path) -> Iterator[dict[str, str]]:
    """Serve what is at these host names. The result is the environment with which a process finds it there."""
    certificate = folder / "servers.pem"
    proxy = _Proxy(servers, tls_context(certificate, [x509.DNSName(host) for host in servers]))
    Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_port}", "SSL_CERT_FILE": str(certificate)}
    finally:
        proxy.shutdown()
        proxy.server_close()


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, servers: Mapping[str, Answer], tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.servers, self.tls = servers, tls


class _Tunnel(BaseHTTPRequestHandler):
    """A connection to the proxy, which answers a tunnel as the host that the client asked for."""

    protocol_version = "HTTP/1.1"
    server: _Proxy
    host = ""

    def do_CONNECT(self) -> None:
        self.host = self.path.removesuffix(":443")
        if self.host not in self.server.servers:
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False

    def _respond(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = 200 if self.command == "GET" else 201
        try:
            content = self._answer(raw)
        except Refused as refusal:
            status, content = refusal.status, refusal.content
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status if content is not None else 204)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", f'Bearer authorization_uri="https://login.windows.net/{TENANT}"')
        self.end_headers()
        self.wfile.write(body)

    # The base class calls these.
    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _respond  # noqa: N815

    def _answer(self, raw: bytes) -> Entity | None:
        if "/subscriptions/unknown" in self.path:
            raise Refused(404, "SubscriptionNotFound", "The subscription could not be found.")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            raise Refused(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        if raw and self.headers["Content-Type"] != "application/json":
            raise Refused(400, "BadRequest", "The body has no Content-Type.")
        address = urlsplit(self.path)
        answer = self.server.servers[self.host]
        return answer(self.command, unquote(address.path), dict(parse_qsl(address.query)), json.loads(raw or "{}"))

    def log_message(self, format: str, *arguments: object) -> None:
        """Each server has a record of its own."""
