"""App registrations that a script makes once, and recognises in later runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain

from command import Failure
from entra import GRAPH, Entity, Graph, GraphRefused

_FIELDS = "id,appId,displayName,passwordCredentials,keyCredentials,web,spa,publicClient"


@dataclass(frozen=True, slots=True)
class Registration:
    """An app registration, with who may change it, and all that lets somebody sign in as the app or receive its tokens.

    `owners` are object ids, `redirects` addresses, `secrets` counts certificates too, and `trusted` are its federated
    credentials as `trust` names them.
    """

    object_id: str
    client_id: str
    owners: frozenset[str]
    secrets: int
    redirects: frozenset[str]
    trusted: frozenset[str]


def find_registration(
    graph: Graph, name: str, variable: str, client_id: str, redirects: Collection[str], trusted: Collection[str]
) -> Registration | None:
    """The registration with this client id or, if that is empty, the one of this name that the signed-in person made.

    `variable` names the client id in the azd environment. A name proves nothing: anybody who may register applications
    can have given it to one with a secret of their own. So one that only its name points to must be owned by the person
    who is signed in and nobody else, have no secret, and no redirects and trusted subjects but these.
    """
    if client_id:
        found = graph.find(f"applications(appId='{client_id}')", select=_FIELDS)
        if found is None:
            raise Failure(
                f"there is no app registration with the client id {client_id}, the value of {variable}, so nothing was "
                f"changed: sign in to the tenant that has it, or run 'azd env set {variable} \"\"' and then this again "
                "to create one"
            )
        return _read(graph, found)
    listed = graph.pages("applications", filter=f"displayName eq '{name}'", select=_FIELDS)
    candidates = [_read(graph, one) for one in listed]
    if not candidates:
        return None
    me = graph.me()
    strange = {one: differences(one, me, redirects, trusted) for one in candidates}
    own = [one for one in candidates if not strange[one]]
    if len(own) == 1:
        return own[0]
    described = "; ".join(f"{one.client_id} ({', '.join(why) or 'yours alone'})" for one, why in strange.items())
    raise Failure(
        f"which app registration named {name} is this app's is not known, because anybody may give one that name: "
        f"{described}; nothing was changed. If one is this app's, and you trust its owners and secrets, run "
        f"'azd env set {variable}' with its id, and then this again; otherwise have its owners rename it"
    )


def differences(
    registration: Registration, me: str, redirects: Collection[str], trusted: Collection[str]
) -> tuple[str, ...]:
    """Why a registration may be somebody else's; empty if it is that of the person with the object id `me`."""
    others = sorted(registration.owners - {me})
    strangers = sorted(registration.redirects - set(redirects))
    subjects = sorted(registration.trusted - set(trusted))
    reasons = (
        (bool(others), f"owned by {', '.join(others)}"),
        (me not in registration.owners, "not owned by you"),
        (registration.secrets > 0, f"has {registration.secrets} secrets or certificates"),
        (bool(strangers), f"redirects to {', '.join(strangers)}"),
        (bool(subjects), f"trusts {', '.join(subjects)}"),
    )
    return tuple(text for holds, text in reasons if holds)


def create_registration(graph: Graph, body: Entity) -> Registration:
    """Create a registration that the signed-in person owns, so that a later run recognises it."""
    me = graph.me()
    application = graph.post("applications", body)
    try:
        graph.post_about_new(f"applications/{application['id']}/owners/$ref", {"@odata.id": f"{GRAPH}/users/{me}"})
    except GraphRefused as refusal:
        # Graph makes the creator an owner by itself, except for some admins.
        if "already exist" not in str(refusal):
            raise
    return _described(application, frozenset({me}), ())


def trust(issuer: str, subject: str) -> str:
    """How a federated credential is named in `trusted`."""
    return f"{subject} of {issuer}"


def _read(graph: Graph, application: Entity) -> Registration:
    path = f"applications/{application['id']}"
    owners = frozenset(owner["id"] for owner in graph.pages(f"{path}/owners", select="id"))
    return _described(application, owners, graph.pages(f"{path}/federatedIdentityCredentials"))


def _described(application: Entity, owners: frozenset[str], credentials: Iterable[Entity]) -> Registration:
    redirects = [(application.get(kind) or {}).get("redirectUris") or () for kind in ("web", "spa", "publicClient")]
    secrets = [application.get(kind) or () for kind in ("passwordCredentials", "keyCredentials")]
    return Registration(
        object_id=application["id"],
        client_id=application["appId"],
        owners=owners,
        secrets=sum(map(len, secrets)),
        redirects=frozenset(chain.from_iterable(redirects)),
        trusted=frozenset(trust(one["issuer"], one["subject"]) for one in credentials),
    )
