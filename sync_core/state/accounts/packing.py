"""Many accounts as a few bytes: an account takes about 30 in place of a row."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from sync_core.domain.accounts import Account, AccountChange, AccountEntry, AccountProperty
from sync_core.domain.ids import AccountId

_WHOLE, _CHANGE, _GONE = "w", "c", "g"
_ENABLED = {True: "1", False: "0", None: "-"}
_READ_ENABLED = {text: enabled for enabled, text in _ENABLED.items()}


def pack(entries: Mapping[AccountId, AccountEntry]) -> bytes:
    """The entries as compressed JSON. The ids are apart from the values, because nothing compresses them."""
    used = {name for entry in entries.values() if entry for name in entry.values}
    properties = [name for name in AccountProperty if name in used]
    columns = {
        "ids": list(entries),
        "kinds": "".join(map(_kind, entries.values())),
        "enabled": "".join(_ENABLED[entry.enabled if entry else None] for entry in entries.values()),
        "properties": properties,
        "values": [[entry.values.get(name) for name in properties] for entry in entries.values() if entry],
    }
    return zlib.compress(json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode())


def _kind(entry: AccountEntry) -> str:
    return _GONE if entry is None else _WHOLE if isinstance(entry, Account) else _CHANGE


def unpack(packed: bytes) -> dict[AccountId, AccountEntry]:
    columns = json.loads(zlib.decompress(packed))
    properties = [AccountProperty(name) for name in columns["properties"]]
    values = iter(columns["values"])
    return {
        id_: None if kind == _GONE else _entry(id_, kind, enabled, properties, values)
        for id_, kind, enabled in zip(columns["ids"], columns["kinds"], columns["enabled"], strict=True)
    }


def _entry(
    id_: AccountId, kind: str, enabled: str, properties: list[AccountProperty], rows: Iterator[list[Any]]
) -> AccountEntry:
    values = {name: value for name, value in zip(properties, next(rows), strict=True) if value is not None}
    if kind == _CHANGE:
        return AccountChange(id_, values, _READ_ENABLED[enabled])
    return Account(id_, values, enabled == _ENABLED[True])
