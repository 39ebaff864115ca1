"""Webhooks as the MIS side sends them: those signed as Standard Webhooks, and Wonde's own, which are not signed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx
from standardwebhooks import Webhook

from local import loopback
from local.world import MASTER_KEY, WEBHOOK_SECRET


def body_of(groups: Sequence[str] = (), people: Sequence[str] = ()) -> str:
    data = {"groups": list(groups), "people": list(people)}
    return json.dumps({"type": "roster.changed", "timestamp": datetime.now(UTC).isoformat(), "data": data})


def headers_of(body: str, id_: str, secret: str = WEBHOOK_SECRET, ago: timedelta = timedelta(0)) -> dict[str, str]:
    """The headers of a webhook that was signed `ago` before now."""
    at = datetime.now(UTC) - ago
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id_, at, body),
        "content-type": "application/json",
    }


def send_webhook(host: str, school: str, id_: str, groups: Sequence[str] = (), people: Sequence[str] = ()) -> None:
    """Send a webhook event to the host at that address: these changed. Raises HTTPStatusError if it is refused."""
    body = body_of(groups, people)
    url = f"{host}/api/mis/{school}/changes"
    loopback.post(url, content=body, headers=headers_of(body, id_), timeout=60).raise_for_status()


def send_wonde_event(host: str, event: str, school: str, key: str = MASTER_KEY) -> httpx.Response:
    """Send Wonde's event about its access to the school with that id at Wonde."""
    body = {"payload_type": event, "school_id": school, "school_name": "A School"}
    return loopback.post(f"{host}/api/mis/wonde/access", params={"code": key}, json=body, timeout=60)
