"""Forms with a file: in memory, however large."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.datastructures import Headers, UploadFile

from sync_core.http.console.session import InMemoryParser
from sync_core.http.edge import LARGEST_UPLOAD

_BOUNDARY = "b"
_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'


async def test_an_upload_stays_in_memory() -> None:
    content = b"\xff" * (LARGEST_UPLOAD - 1_000)

    async def stream() -> AsyncIterator[bytes]:
        yield _HEAD
        yield content
        yield b"\r\n--b--\r\n"

    headers = Headers({"content-type": f"multipart/form-data; boundary={_BOUNDARY}"})
    file = (await InMemoryParser(headers, stream()).parse())["file"]  # type: ignore[arg-type]  # any iterator serves
    assert isinstance(file, UploadFile)
    assert file.file._rolled is False  # type: ignore[attr-defined]  # tempfile says in no other way whether it is on disk
    assert await file.read() == content
