"""Controls that Microsoft 365 does not have: counts, clock and faults of the simulated tenant, and edits by hand."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from aiohttp import web

from local.tenant.directory import USER_PROPERTIES, Directory, Group, Refusal
from local.tenant.entra import Entra
from local.tenant.server import Fault, TenantServer


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
        app.router.add_post("/_sim/clock", self._clock)
        app.router.add_post("/_sim/faults", self._faults)
        app.router.add_post("/_sim/users", self._users)
        app.router.add_delete("/_sim/users/{upn}", self._delete_user)
        app.router.add_patch("/_sim/users/{upn}", self._update_user)
        app.router.add_post("/_sim/edit", self._edit)
        app.router.add_post("/_sim/consent", self._consent)

    async def _stats(self, request: web.Request) -> web.Response:
        server = self._server(request)
        own = {"forbidden_deletes": server.graph.forbidden_deletes, "batches": server.batches}
        return web.json_response({**asdict(server.stats), **own, "by_route": dict(server.by_route)})

    async def _log(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._server(request).log)[int(request.query.get("since", "0")) :])

    async def _classes(self, request: web.Request) -> web.Response:
        directory = self._server(request).directory
        classes = [_class(directory, group) for group in directory.groups.values() if group.is_class]
        return web.json_response(sorted(classes, key=lambda one: (one["mailNickname"], one["id"])))

    async def _seed_classes(self, request: web.Request) -> web.Response:
        """[{"displayName", "mailNickname", "externalId", "owners", "members"}], people by id. Returns the class ids."""
        directory, now = self._server(request).directory, self._server(request).clock.now()
        ids = []
        try:
            for entry in await request.json():
                people = {collection: entry.pop(collection, []) for collection in ("members", "owners")}
                ids.append(directory.seed_class(entry, people, now).id)
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response(ids)

    def _switches(self, request: web.Request) -> dict[str, Any]:
        graph, server = self._server(request).graph, self._server(request)
        return {
            "lag_seconds": graph.lag,
            "latency_seconds": server.latency,
            "tenant_size": server.throttle.size,
            "silent_429s_every": server.silent_429s_every,
            "delta_objects_per_page": graph.habits.objects_per_page,
            "delta_people_per_object": graph.habits.people_per_object,
            "delta_replayed_events": graph.habits.replayed_events,
        }

    async def _show_switches(self, request: web.Request) -> web.Response:
        return web.json_response(self._switches(request))

    async def _set_switches(self, request: web.Request) -> web.Response:
        body = await request.json()
        switches = self._switches(request)
        if unknown := sorted(body.keys() - switches.keys()):
            return _refuse(f"unknown switch {unknown[0]}; the switches are {', '.join(switches)}")
        if body.get("tenant_size") not in (None, "S", "M", "L"):
            return _refuse("tenant_size is S, M, L or null")
        chosen = switches | body
        graph, server = self._server(request).graph, self._server(request)
        graph.lag, server.latency = float(chosen["lag_seconds"]), float(chosen["latency_seconds"])
        server.throttle.size, server.silent_429s_every = chosen["tenant_size"], int(chosen["silent_429s_every"])
        graph.habits.objects_per_page = int(chosen["delta_objects_per_page"])
        graph.habits.people_per_object = int(chosen["delta_people_per_object"])
        graph.habits.replayed_events = int(chosen["delta_replayed_events"])
        return web.json_response(self._switches(request))

    async def _clock(self, request: web.Request) -> web.Response:
        body, clock = await request.json(), self._server(request).clock
        if unknown := sorted(body.keys() - {"advance_seconds", "rate"}):
            return _refuse(f"unknown {unknown[0]}; send advance_seconds or rate")
        clock.advance(float(body.get("advance_seconds", 0)))
        clock.run_at(float(body.get("rate", clock.rate)))
        return web.json_response({"now": clock.text()})

    async def _faults(self, request: web.Request) -> web.Response:
        """{"method", "path" (a pattern), "times", "status", "retry_after", "after_work"}; an empty list clears."""
        body, faults = await request.json(), self._server(request).faults
        if body == []:
            faults.clear()
        else:
            faults.append(
                Fault(
                    method=body.get("method", "*"),
                    path=re.compile(body.get("path", "")),
                    times=int(body.get("times", 1)),
                    status=body.get("status"),
                    retry_after=body.get("retry_after"),
                    after_work=bool(body.get("after_work", False)),
                )
            )
        return web.json_response({"faults": len(faults)})

    async def _users(self, request: web.Request) -> web.Response:
        ids, directory = [], self._server(request).directory
        for entry in await request.json():
            more = {name: entry[name] for name in ("id", *USER_PROPERTIES[2:]) if name in entry}
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

    async def _consent(self, request: web.Request) -> web.Response:
        self._entra.consent((await request.json())["tenant"])
        return web.json_response({})

    async def _edit(self, request: web.Request) -> web.Response:
        body = await request.json()
        directory, now = self._server(request).directory, self._server(request).clock.now()
        group = directory.by_nickname(body["class"])
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
                    directory.update_group(group, {"displayName": body["name"]})
                case "delete":
                    directory.delete_group(group, now)
                case "purge":
                    directory.purge(group, now)
                case "restore":
                    directory.restore(group.id, now)
                case _:
                    return _refuse(f"unknown action {action}")
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response(_class(directory, group))


def _collection(action: str) -> str:
    return "members" if action.endswith("member") else "owners"


def _class(directory: Directory, group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "displayName": group.displayName,
        "mailNickname": group.mailNickname,
        "externalId": group.externalId,
        "owners": sorted(directory.users[person].userPrincipalName for person in group.owners),
        "members": sorted(directory.users[person].userPrincipalName for person in group.members),
        "deleted": group.deleted_at is not None,
    }


def _refuse(message: str, status: int = 400) -> web.Response:
    return web.json_response({"error": message}, status=status)
