"""App registrations that a script makes once, and recognises in later runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

from command import Failure, say
from services import GRAPH_V1, Entity, Graph, RequestRefused


@dataclass(frozen=True)
class Registration:
    """An app registration: its `properties` in Graph, the object ids of its owners, and its federated credentials."""

    properties: Entity
    owners: Collection[str]
    credentials: Collection[Entity] = ()

    @property
    def object_id(self) -> str:
        return str(self.properties["id"])

    @property
    def client_id(self) -> str:
        return str(self.properties["appId"])

    @property
    def secrets(self) -> int:
        """How many secrets and certificates it has."""
        return sum(len(self.properties.get(kind) or ()) for kind in ("passwordCredentials", "keyCredentials"))

    @property
    def redirects(self) -> frozenset[str]:
        """The addresses that Entra sends its tokens to."""
        platforms = [self.properties.get(kind) or {} for kind in ("web", "spa", "publicClient")]
        return frozenset(chain.from_iterable(platform.get("redirectUris") or () for platform in platforms))

    @property
    def trusted(self) -> frozenset[str]:
        """Who may sign in as the app without a secret, as `trust` names them."""
        return frozenset(trust(one["issuer"], one["subject"]) for one in self.credentials)


def trust(issuer: str, subject: str) -> str:
    """A federated credential, as messages name it."""
    return f"{subject} of {issuer}"


@dataclass(frozen=True, slots=True)
class Identity:
    """The app's managed identity: the object id of its service principal, and the id of its tenant."""

    principal: str
    tenant: str

    @property
    def issuer(self) -> str:
        return f"https://login.microsoftonline.com/{self.tenant}/v2.0"

    @property
    def trust(self) -> str:
        """The federated credential that trusts it, as messages name it."""
        return trust(self.issuer, self.principal)


def find_registration(
    graph: Graph, name: str, variable: str, client_id: str, redirects: Collection[str], trusted: Collection[str]
) -> Registration | None:
    """The registration with this client id or, if that is empty, the one of this name that the signed-in person made.

    `variable` names the client id in the azd environment. A name proves nothing: anybody who may register applications
    can have given it to one with a secret of their own. So one that only its name points to must be owned by the person
    who is signed in and nobody else, have no secret, and no redirects and trusted subjects but these.
    """
    if client_id:
        found = graph.find(f"applications(appId='{client_id}')")
        if found is None:
            raise Failure(
                f"there is no app registration with the client id {client_id}, the value of {variable}, so nothing was "
                f"changed: sign in to the tenant that has it, or run 'azd env set {variable} \"\"' and then this again "
                "to create one"
            )
        return _read(graph, found)
    listed = graph.pages("applications", filter=f"displayName eq '{name}'")
    candidates = [_read(graph, one) for one in listed]
    if not candidates:
        return None
    me = graph.me()
    compared = [(one, differences(one, me, redirects, trusted)) for one in candidates]
    own = [one for one, why in compared if not why]
    if len(own) == 1:
        return own[0]
    described = "; ".join(f"{one.client_id} ({', '.join(why) or 'yours alone'})" for one, why in compared)
    raise Failure(
        f"there is an app registration named {name}, but anybody may give one that name, and nothing else says that it "
        f"is this app's: {described}; nothing was changed. If it is, and you trust its owners and secrets, run "
        f"'azd env set {variable}' with its id, and then this again. Otherwise ask its owners to rename it"
    )


def differences(
    registration: Registration, me: str, redirects: Collection[str], trusted: Collection[str]
) -> tuple[str, ...]:
    """Why a registration may be somebody else's; empty if it is that of the person with the object id `me`."""
    others = sorted(set(registration.owners) - {me})
    strangers = sorted(registration.redirects - set(redirects))
    subjects = sorted(registration.trusted - set(trusted))
    reasons = (
        (bool(others), f"owned by {', '.join(others)}"),
        (not registration.owners, "has no owner"),
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
        graph.post_about_new(f"applications/{application['id']}/owners/$ref", {"@odata.id": f"{GRAPH_V1}/users/{me}"})
    except RequestRefused as refusal:
        # Graph makes the creator an owner by itself, except for some admins.
        if "already exist" not in str(refusal):
            raise Failure(
                f"the app registration with the client id {application['appId']} was created, but you are not an owner "
                f"of it, so a later run will not recognise it: {refusal}"
            ) from None
    return Registration(application, {me})


def keep_trust(graph: Graph, registration: Registration, identity: Identity) -> None:
    """Let the app's identity sign in as the registration, and say who else may."""
    others = sorted(registration.trusted - {identity.trust})
    if identity.trust in registration.trusted:
        say("already there: it trusts the app's identity")
    else:
        credential = {
            "name": f"identity-{identity.principal}",
            "issuer": identity.issuer,
            "subject": identity.principal,
            "audiences": ["api://AzureADTokenExchange"],
        }
        graph.post_about_new(f"applications/{registration.object_id}/federatedIdentityCredentials", credential)
        say(
            "created: it trusts the app's identity"
            if others
            else "created: it trusts the app's identity, and nobody else"
        )
    for other in others:
        say(f"it also trusts {other}: if you do not know that one, remove it under Certificates & secrets")


def _read(graph: Graph, application: Entity) -> Registration:
    path = f"applications/{application['id']}"
    owners = {owner["id"] for owner in graph.pages(f"{path}/owners", select="id")}
    return Registration(application, owners, graph.pages(f"{path}/federatedIdentityCredentials"))
