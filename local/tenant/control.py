"""Controls that Microsoft 365 does not have: counts, clock and faults of the simulated tenant, and edits by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from local.tenant import team_control
from local.tenant.answers import CHOICES
from local.tenant.directory.directory import Directory
from local.tenant.directory.objects import USER_PROPERTIES, Collection, Group
from local.tenant.directory.refusals import Refusal
from local.tenant.entra import Entra
from local.tenant.faults import Fault
from local.tenant.server import TenantServer
from local.tenant.throttle import UNITS


class Control:
    """Routes under /_sim, for this machine only; nothing here is counted or throttled. `?tenant=` selects a tenant."""

    def __init__(self, entra: Entra) -> None:
        self._entra = entra

    def _server(self, request: web.Request) -> TenantServer:
        """The tenant that the query names, or the home tenant."""
        server = self._entra.tenant(request.query["tenant"]) if "tenant" in request.query else self._entra.home
        if server is None:
            raise web.HTTPNotFound(text="this tenant has not consented")
        return server

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/_sim/stats", self._stats)
        app.router.add_get("/_sim/log", self._log)
        app.router.add_get("/_sim/classes", self._classes)
        app.router.add_post("/_sim/classes", self._seed_classes)
        app.router.add_get("/_sim/switches", self._show_switches)
        app.router.add_post("/_sim/switches", self._set_switches)
        app.router.add_get("/_sim/permissions", self._show_permissions)
        app.router.add_post("/_sim/permissions", self._set_permissions)
        app.router.add_post("/_sim/other-apps", self._other_apps)
        app.router.add_post("/_sim/clock", self._clock)
        app.router.add_post("/_sim/faults", self._faults)
        app.router.add_post("/_sim/users", self._users)
        app.router.add_delete("/_sim/users/{upn}", self._delete_user)
        app.router.add_patch("/_sim/users/{upn}", self._update_user)
        app.router.add_post("/_sim/edit", self._edit)
        app.router.add_post("/_sim/consent", self._consent)
        app.router.add_get("/_sim/teams", self._teams)
        app.router.add_post("/_sim/teams", self._act_in_client)

    async def _stats(self, request: web.Request) -> web.Response:
        server = self._server(request)
        own = {"forbidden_deletes": server.graph.forbidden_deletes, "batches": server.batches}
        return web.json_response({**asdict(server.stats), **own, "by_route": dict(server.by_route)})

    async def _log(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._server(request).log)[int(request.query.get("since", "0")) :])

    async def _classes(self, request: web.Request) -> web.Response:
        """All classes, with the user principal names of their people, or with `people=ids` their ids."""
        directory = self._server(request).directory
        shown: Callable[[str], str] = str if request.query.get("people") == "ids" else _upn_in(directory)
        classes = [_class(group, shown) for group in directory.groups.values() if group.is_class]
        return web.json_response(sorted(classes, key=lambda one: (one["mailNickname"], one["id"])))

    async def _seed_classes(self, request: web.Request) -> web.Response:
        """[{"displayName", "mailNickname", "externalId", "externalSource", "owners", "members", "is_class"}].

        People are ids. Nicknames need not be unique, and a group need not be a class. Returns the ids.
        """
        directory, now = self._server(request).directory, self._server(request).clock.now()
        ids = []
        try:
            for entry in await request.json():
                people: dict[Collection, list[str]] = {
                    "members": entry.pop("members", []),
                    "owners": entry.pop("owners", []),
                }
                ids.append(directory.seed_group(entry, people, now, is_class=entry.pop("is_class", True)).id)
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response(ids)

    async def _show_switches(self, request: web.Request) -> web.Response:
        server = self._server(request)
        return web.json_response({**_numbers(server), **server.answers.chosen()})

    async def _set_switches(self, request: web.Request) -> web.Response:
        """Numbers of the simulation and answers of the table, by name; either all are set, or none."""
        body, server = await request.json(), self._server(request)
        names = [*_numbers(server), *(choice.name for choice in CHOICES)]
        if unknown := sorted(body.keys() - set(names)):
            return _refuse(f"unknown switch {unknown[0]}; the switches are {', '.join(names)}")
        if body.get("tenant_size") not in (None, *UNITS):
            return _refuse("tenant_size is S, M, L or null")
        try:
            server.answers.choose({choice.name: body[choice.name] for choice in CHOICES if choice.name in body})
        except ValueError as error:
            return _refuse(str(error))
        _set_numbers(server, _numbers(server) | body)
        return await self._show_switches(request)

    async def _show_permissions(self, request: web.Request) -> web.Response:
        return web.json_response({"granted": sorted(self._server(request).granted)})

    async def _set_permissions(self, request: web.Request) -> web.Response:
        """{"granted": [...]}, for tokens that are issued from now on."""
        body = await request.json()
        granted = body.get("granted") if isinstance(body, dict) else None
        if not isinstance(granted, list) or not all(isinstance(permission, str) for permission in granted):
            return _refuse('send {"granted": [...]}, the permissions of the app in this tenant')
        self._server(request).granted = frozenset(granted)
        return await self._show_permissions(request)

    async def _other_apps(self, request: web.Request) -> web.Response:
        """{"writes": n}: other apps of the tenant write as much now."""
        server = self._server(request)
        server.throttle.spend_by_others(int((await request.json())["writes"]), server.clock.now())
        return web.json_response({})

    async def _clock(self, request: web.Request) -> web.Response:
        body, clock = await request.json(), self._server(request).clock
        if unknown := sorted(body.keys() - {"advance_seconds", "rate"}):
            return _refuse(f"unknown {unknown[0]}; send advance_seconds or rate")
        clock.advance(float(body.get("advance_seconds", 0)))
        clock.run_at(float(body.get("rate", clock.rate)))
        return web.json_response({"now": clock.text()})

    async def _faults(self, request: web.Request) -> web.Response:
        """The names of a Fault, of which "path" and "query" are patterns; an empty list clears."""
        body, faults = await request.json(), self._server(request).faults
        if body == []:
            faults.clear()
            return web.json_response({"faults": 0})
        try:
            faults.append(Fault.parse(body))
        except ValueError as error:
            return _refuse(str(error))
        return web.json_response({"faults": len(faults)})

    async def _users(self, request: web.Request) -> web.Response:
        ids, directory = [], self._server(request).directory
        for entry in await request.json():
            more = {name: entry[name] for name in ("id", *USER_PROPERTIES[2:], "licensed") if name in entry}
            ids.append(directory.add_user(entry["userPrincipalName"], entry.get("displayName", ""), **more).id)
        return web.json_response(ids)

    async def _delete_user(self, request: web.Request) -> web.Response:
        directory = self._server(request).directory
        try:
            directory.delete_user(directory.user(request.match_info["upn"]))
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response({})

    async def _update_user(self, request: web.Request) -> web.Response:
        directory = self._server(request).directory
        try:
            directory.update_user(directory.user(request.match_info["upn"]), await request.json())
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response({})

    async def _teams(self, request: web.Request) -> web.Response:
        """The teams as they are, whatever Graph shows of them."""
        return web.json_response(team_control.teams_of(self._server(request)))

    async def _act_in_client(self, request: web.Request) -> web.Response:
        """{"action", "class", "upn"}: what somebody does in the Teams client. Returns the team as it is."""
        server, body = self._server(request), await request.json()
        try:
            team = server.teams_client.act(str(body.get("action")), body, server.clock.now())
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response(team_control.team_of(server, team))

    async def _consent(self, request: web.Request) -> web.Response:
        self._entra.consent((await request.json())["tenant"])
        return web.json_response({})

    async def _edit(self, request: web.Request) -> web.Response:
        body = await request.json()
        directory, now = self._server(request).directory, self._server(request).clock.now()
        group = directory.groups.get(body["class"]) or directory.by_nickname(body["class"])
        action = body["action"]
        if group is None or (group.deleted_at is not None and action not in ("restore", "purge")):
            return _refuse(f"there is no class with the mail nickname {body['class']}", 404)
        try:
            match action:
                case "add-member" | "add-owner":
                    directory.add(group, _collection(action), body["upn"])
                case "remove-member" | "remove-owner":
                    person = directory.user(body["upn"]).id
                    directory.remove(group, _collection(action), person, in_delta=body.get("in_delta", True))
                case "age":
                    group.created_at -= float(body["seconds"])
                case "rename":
                    directory.update_group(group, {"displayName": body["name"]}, now)
                case "delete":
                    directory.delete_group(group, now)
                case "purge":
                    directory.purge(group, now)
                case "restore":
                    self._server(request).teams.class_restored(directory.restore(group.id, now))
                case _:
                    return _refuse(f"unknown action {action}")
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response(_class(group, _upn_in(directory)))


def _collection(action: str) -> Collection:
    return "members" if action.endswith("member") else "owners"


def _upn_in(directory: Directory) -> Callable[[str], str]:
    return lambda person: directory.users[person].userPrincipalName


def _class(group: Group, shown: Callable[[str], str]) -> dict[str, Any]:
    """The class, with its people as `shown` has them, by their ids."""
    return {
        "id": group.id,
        "displayName": group.displayName,
        "mailNickname": group.mailNickname,
        "externalId": group.externalId,
        "externalSource": group.externalSource,
        "owners": sorted(map(shown, group.owners)),
        "members": sorted(map(shown, group.members)),
        "deleted": group.deleted_at is not None,
    }


def _numbers(server: TenantServer) -> dict[str, Any]:
    graph = server.graph
    return {
        "lag_seconds": graph.lag,
        "latency_seconds": server.latency,
        "tenant_size": server.throttle.size,
        "delta_objects_per_page": graph.habits.objects_per_page,
        "delta_people_per_object": graph.habits.people_per_object,
        "delta_replayed_events": graph.habits.replayed_events,
        **team_control.numbers(server),
    }


def _set_numbers(server: TenantServer, numbers: dict[str, Any]) -> None:
    graph = server.graph
    graph.lag, server.latency = float(numbers["lag_seconds"]), float(numbers["latency_seconds"])
    server.throttle.size = numbers["tenant_size"]
    graph.habits.objects_per_page = int(numbers["delta_objects_per_page"])
    graph.habits.people_per_object = int(numbers["delta_people_per_object"])
    graph.habits.replayed_events = int(numbers["delta_replayed_events"])
    team_control.set_numbers(server, numbers)


def _refuse(message: str, status: int = 400) -> web.Response:
    return web.json_response({"error": message}, status=status)
