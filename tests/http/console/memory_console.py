"""The console over tables and a tenant in memory, as a browser calls it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape

import httpx

from sync_core.http.console.session import FIELD
from tests.http.built import serve_console
from tests.http.memory_api import ALL_SCHOOLS, Api

_TOKEN = re.compile(rf'name="{FIELD}" value="([0-9a-f]+)"')
_TAG = re.compile(r"<[^>]*>")


@dataclass
class Console:
    """The console of the app of `api`. Its cookies are those of one browser."""

    api: Api
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    async def call(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str] | None = None,
        caller: str = ALL_SCHOOLS,
        role: str = "GroupSync.Admin",
        file: bytes | None = None,
    ) -> httpx.Response:
        principal = {"claims": [{"typ": "oid", "val": caller}, {"typ": "roles", "val": role}]}
        header = {"x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode()}
        transport = httpx.ASGITransport(serve_console(self.api.app))
        async with httpx.AsyncClient(transport=transport, base_url="https://console", cookies=self.cookies) as client:
            files = None if file is None else {"file": file}
            response = await client.request(method, path, data=fields, files=files, headers=header)
            self.cookies = client.cookies
        return response

    async def read(self, path: str, status: int = 200, caller: str = ALL_SCHOOLS) -> str:
        response = await self.call("GET", path, caller=caller)
        assert response.status_code == status, response.text
        return response.text

    async def send(
        self, page: str, path: str, status: int = 303, caller: str = ALL_SCHOOLS, **fields: str
    ) -> httpx.Response:
        """Send a form of the page `page`, with the token that the page has."""
        found = _TOKEN.search(page)
        assert found, "the page has no form"
        response = await self.call("POST", path, {FIELD: found[1], **fields}, caller)
        assert response.status_code == status, response.text
        return response


def text_of(page: str) -> str:
    """The words of a page, each run of spaces as one."""
    return " ".join(unescape(_TAG.sub(" ", page)).split())


def field_value(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"the page has no field {name}"
    return unescape(found[1])
