"""The ETag of a school's settings (RFC 9110), which tells later which of them have changed."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Annotated

from fastapi import Header

from sync_core.domain.ids import SchoolId
from sync_core.domain.school.settings import SchoolSettings
from sync_core.errors import PreconditionFailed
from sync_core.http.admin.schemas import school_json

IfMatch = Annotated[
    str | None,
    Header(max_length=4096, description="The ETag that your change is based on, from GET or an earlier save"),
]

_DIGEST = 8
"""Hexadecimal digits of the digest of one setting."""
_TAG = re.compile(r'(?<!W/)"([0-9a-f]+)"')
_ANY = "*"


def etag_of(settings: SchoolSettings) -> str:
    """A strong ETag: a digest for each setting, in order."""
    return '"' + "".join(_digests(settings).values()) + '"'


def require_match(if_match: str | None, settings: SchoolSettings | None, school: SchoolId) -> None:
    """Check the header If-Match of a change to these settings. Raises PreconditionFailed naming what has changed."""
    if if_match is None or (if_match.strip() == _ANY and settings):
        return
    if settings is None:
        raise PreconditionFailed(
            f"school {school} has no settings, so nothing was saved", "leave If-Match out to add the school"
        )
    now = _digests(settings)
    whole = len(now) * _DIGEST
    earlier = [tag for tag in _TAG.findall(if_match) if len(tag) == whole]
    if "".join(now.values()) in earlier:
        return
    remedy = "read the settings again, and repeat your change with the new ETag"
    if not earlier:
        raise PreconditionFailed(
            f"If-Match has no ETag of the settings of school {school}, so nothing was saved", remedy
        )
    parts = [earlier[0][start : start + _DIGEST] for start in range(0, whole, _DIGEST)]
    changed = [name for (name, digest), part in zip(now.items(), parts, strict=True) if digest != part]
    raise PreconditionFailed(
        f"settings of school {school} have changed since you read them ({', '.join(changed)}), so nothing was saved",
        remedy,
    )


def _digests(settings: SchoolSettings) -> dict[str, str]:
    texts = {name: json.dumps(value, sort_keys=True) for name, value in school_json(settings).items()}
    return {name: sha256(text.encode()).hexdigest()[:_DIGEST] for name, text in texts.items()}
