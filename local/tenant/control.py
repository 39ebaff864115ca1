"""What nobody has in Microsoft 365: the counts, clock and faults of the simulated tenant, and an admin's hand."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from aiohttp import web

from local.tenant.directory import USER_PROPERTIES, Directory, Group, Refusal
from local.tenant.entra import Entra
from local.tenant.server import Fault, TenantServer


class Control:
    """Routes under /_sim, for this machine only; nothing here is counted or throttled. `?tenant=` names one."""

    def __init__(self, entra: Entra) -> None:
        self._entra = entra

    def _server(self, request: web.Request) -> TenantServer:
        """The tenant that the query names, or the home tenant."""
        named = self._entra.tenant(request.query["tenant"]) if "tenant" in request.query else self._entra.home
        if named is None:
            raise web.HTTPNotFound(text="this tenant has not consented")
        return named

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
        counted = asdict(self._server(request).stats)
        counted["forbidden_deletes"] = self._server(request).graph.forbidden_deletes
        counted["batches"] = self._server(request).batches
        return web.json_response({**counted, "by_route": dict(self._server(request).by_route)})

    async def _log(self, request: web.Request) -> web.Response:
        return web.json_response(list(self._server(request).log)[int(request.query.get("since", "0")) :])

    async def _classes(self, request: web.Request) -> web.Response:
        directory = self._server(request).directory
        found = [_class(directory, group) for group in directory.groups.values() if group.is_class]
        return web.json_response(sorted(found, key=lambda listed: (listed["mailNickname"], listed["id"])))

    async def _seed_classes(self, request: web.Request) -> web.Response:
        """[{"displayName", "mailNickname", "externalId", "owners", "members"}], people by id; answers ids."""
        directory, now = self._server(request).directory, self._server(request).clock.now()
        made = []
        try:
            for entry in await request.json():
                people = {collection: entry.pop(collection, []) for collection in ("members", "owners")}
                made.append(directory.seed_class(entry, people, now).id)
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response(made)

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
        wanted = await request.json()
        known = self._switches(request)
        unknown = sorted(wanted.keys() - known.keys())
        if unknown:
            return _refuse(f"unknown switch {unknown[0]}; the switches are {', '.join(known)}")
        if wanted.get("tenant_size") not in (None, "S", "M", "L"):
            return _refuse("tenant_size is S, M, L or null")
        chosen = known | wanted
        graph, server = self._server(request).graph, self._server(request)
        graph.lag, server.latency = float(chosen["lag_seconds"]), float(chosen["latency_seconds"])
        server.throttle.size, server.silent_429s_every = chosen["tenant_size"], int(chosen["silent_429s_every"])
        graph.habits.objects_per_page = int(chosen["delta_objects_per_page"])
        graph.habits.people_per_object = int(chosen["delta_people_per_object"])
        graph.habits.replayed_events = int(chosen["delta_replayed_events"])
        return web.json_response(self._switches(request))

    async def _clock(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        if unknown := sorted(wanted.keys() - {"advance_seconds", "rate"}):
            return _refuse(f"unknown {unknown[0]}; send advance_seconds or rate")
        self._server(request).clock.advance(float(wanted.get("advance_seconds", 0)))
        self._server(request).clock.run_at(float(wanted.get("rate", self._server(request).clock.rate)))
        return web.json_response({"now": self._server(request).clock.text()})

    async def _faults(self, request: web.Request) -> web.Response:
        """{"method", "path" (a pattern), "times", "status", "retry_after", "after_work"}; an empty list clears."""
        wanted = await request.json()
        if wanted == []:
            self._server(request).faults.clear()
        else:
            self._server(request).faults.append(
                Fault(
                    method=wanted.get("method", "*"),
                    path=re.compile(wanted.get("path", "")),
                    times=int(wanted.get("times", 1)),
                    status=wanted.get("status"),
                    retry_after=wanted.get("retry_after"),
                    after_work=bool(wanted.get("after_work", False)),
                )
            )
        return web.json_response({"faults": len(self._server(request).faults)})

    async def _users(self, request: web.Request) -> web.Response:
        made = []
        for entry in await request.json():
            more = {name: entry[name] for name in ("id", *USER_PROPERTIES[2:]) if name in entry}
            user = self._server(request).directory.add_user(
                entry["userPrincipalName"], entry.get("displayName", ""), **more
            )
            made.append(user.id)
        return web.json_response(made)

    async def _delete_user(self, request: web.Request) -> web.Response:
        try:
            self._server(request).directory.delete_user(self._server(request).directory.user(request.match_info["upn"]))
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response({})

    async def _update_user(self, request: web.Request) -> web.Response:
        try:
            user = self._server(request).directory.user(request.match_info["upn"])
            self._server(request).directory.update_user(user, await request.json())
        except Refusal as refusal:
            return _refuse(refusal.message, refusal.status)
        return web.json_response({})

    async def _consent(self, request: web.Request) -> web.Response:
        self._entra.consent((await request.json())["tenant"])
        return web.json_response({})

    async def _edit(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        directory = self._server(request).directory
        group = directory.by_nickname(wanted["class"])
        action = wanted["action"]
        if group is None or (group.deleted_at is not None and action not in ("restore", "purge")):
            return _refuse(f"there is no class with the mail nickname {wanted['class']}", 404)
        try:
            match action:
                case "add-member" | "add-owner":
                    directory.add(group, _collection(action), wanted["upn"])
                case "remove-member" | "remove-owner":
                    person = directory.user(wanted["upn"]).id
                    directory.remove(group, _collection(action), person, told=wanted.get("told", True))
                case "age":
                    group.created_at -= float(wanted["seconds"])
                case "rename":
                    directory.update_group(group, {"displayName": wanted["name"]})
                case "delete":
                    directory.delete_group(group, self._server(request).clock.now())
                case "purge":
                    directory.purge(group, self._server(request).clock.now())
                case "restore":
                    directory.restore(group.id, self._server(request).clock.now())
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


def _refuse(words: str, status: int = 400) -> web.Response:
    return web.json_response({"error": words}, status=status)
