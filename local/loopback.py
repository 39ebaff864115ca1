"""Single HTTP requests to the processes of the local world, over connections that are kept open in between."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

# Without a context, httpx reads the machine's certificates (20 ms). No process on loopback is called over TLS.
_CLIENT = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def request(method: str, url: str, **options: Any) -> httpx.Response:
    return _CLIENT.request(method, url, **options)


def get(url: str, **options: Any) -> httpx.Response:
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx.Response:
    return request("POST", url, **options)
