"""The Standard Webhooks signature of a request, made with one of a school's secrets."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable, Mapping, Sequence

from standardwebhooks import Webhook, WebhookVerificationError

from sync_core.errors import NotSignedIn, Unreadable

_LONGEST_ID = 200
_SHORTEST_SECRET = 24
"""Bytes: the least that the specification allows ("Standard Webhooks", Signature scheme)."""
_NOBODYS_SECRET = base64.b64encode(secrets.token_bytes(_SHORTEST_SECRET)).decode()
NOT_SET_UP = NotSignedIn(
    "no webhook is set up for this school",
    "store a secret (whsec_… of 24 bytes or more) in an application setting, and name it in webhook_secrets",
)
"""Why a webhook is refused for which there is no secret, for the people who may know which schools there are."""


def usable_secrets(texts: Iterable[str]) -> list[str]:
    """Those of the texts that are secrets of a webhook."""
    return [text.strip() for text in texts if _usable(text)]


def signed_id(usable: Sequence[str], headers: Mapping[str, str], body: bytes) -> str:
    """The id of a webhook that was signed with one of the secrets within five minutes. Raises NotSignedIn, Unreadable.

    While a secret is rotated there are two, and the sender may use either. Without a secret, the signature is compared
    with one that nobody can make, so that the refusal is the same.
    """
    named = {name.lower(): value for name, value in headers.items()}
    id_ = named.get("webhook-id", "")
    if not (id_.isascii() and id_.isprintable()) or len(id_) > _LONGEST_ID:
        raise Unreadable(
            "the webhook-id cannot be used", f"send an id of at most {_LONGEST_ID} printable characters of ASCII"
        )
    reason = ""
    for secret in usable or [_NOBODYS_SECRET]:
        try:
            Webhook(secret).verify(body, named, json_parse=False)
        except WebhookVerificationError as refusal:
            reason = str(refusal)
        except ValueError:  # from a body that is not UTF-8, or a signature or time that cannot be decoded
            reason = "Invalid Signature Headers"
        else:
            return id_
    raise NotSignedIn(
        f"the webhook's signature was not accepted: {reason.lower()}",
        "sign body, id and time as the Standard Webhooks specification says, with a secret that the school's "
        "webhook_secrets name, and send within five minutes to the address with the school's id",
    )


def _usable(secret: str) -> bool:
    try:
        return len(base64.b64decode(secret.strip().removeprefix("whsec_") + "==")) >= _SHORTEST_SECRET
    except (binascii.Error, ValueError):
        return False
