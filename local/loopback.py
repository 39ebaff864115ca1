"""Single HTTP requests to the processes of the local world, as `httpx.request` sends them."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

# Without it, httpx reads the machine's certificates for each single request, which takes longer (20 ms) than the
# request. No process on loopback is called over TLS.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def request(method: str, url: str, **options: Any) -> httpx.Response:
    return httpx.request(method, url, verify=_NO_CERTIFICATES, **options)


def get(url: str, **options: Any) -> httpx.Response:
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx.Response:
    return request("POST", url, **options)
