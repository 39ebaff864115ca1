"""The codec and the configuration: values survive a round trip, and errors name their place."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.servicebus.codec import Described, Long, ProtocolError, Symbol, UInt, decode, encode
from local.servicebus.config import ConfigError, read_config

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.uuids(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=5), inner, max_size=5)),
    max_leaves=20,
)


@given(values)
def test_values_survive_a_round_trip(value: Any) -> None:
    raw = encode(value)
    assert decode(raw) == (value, len(raw))


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_rejected(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode(raw)


def test_typed_numbers_and_descriptors_are_encoded_as_the_client_expects() -> None:
    assert encode(UInt(5)) == b"\x70\x00\x00\x00\x05"
    assert encode(Long(-1)) == b"\x81" + b"\xff" * 8
    assert encode(Described(0x24, [])).startswith(b"\x00\x53\x24")
    assert encode(Symbol("a")) == b"\xa3\x01a"
    assert (
        decode(bytes.fromhex("e0 22 02 98") + bytes(range(16)) + bytes(range(16)))[0]
        == (UUID(bytes=bytes(range(16))),) * 2
    )


def test_the_configuration_of_the_project_is_read() -> None:
    queues = read_config(Path(__file__).parents[3] / "local" / "Config.json")
    assert set(queues) == {"sync-requests", "class-changes", "urgent-changes"}
    assert all(queue.requires_session and queue.requires_duplicate_detection for queue in queues.values())
    assert queues["class-changes"].lock_duration.total_seconds() == 60
    assert queues["class-changes"].max_delivery_count == 10


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ('{"LockDuration": "soon"}', "LockDuration"),
        ('{"LockDuration": "PT6M"}', "LockDuration"),
        ('{"Colour": "red"}', "Colour"),
        ('{"ForwardTo": "elsewhere"}', "ForwardTo"),
        ('{"MaxDeliveryCount": 0}', "MaxDeliveryCount"),
        ("nonsense", "is no emulator configuration"),
    ],
)
def test_an_unsupported_configuration_is_rejected_by_name(properties: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "Config.json"
    namespaces = f'[{{"Queues": [{{"Name": "q", "Properties": {properties}}}]}}]'
    path.write_text(f'/* why */ {{"UserConfig": {{"Namespaces": {namespaces}}}}} // end', encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_config(path)
