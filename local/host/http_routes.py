"""HTTP triggers: route templates, keys, and the request and response in the runtime's own format."""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web
from azure_functions_runtime.bindings.datumdef import Datum

from local.host.functions_index import Function
from local.host.invoke import Invoker
from local.host.refusal import StartRefused
from local.host.settings import Settings
from local.host.sign_in import SignIn

# https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints
_CONSTRAINTS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "alpha": r"[A-Za-z]+",
    "bool": r"(?i:true|false)",
    "guid": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
}
_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_]\w*)(?::(\w+)(?:\((\d+)\))?)?(\??)\}")
_HOMEPAGE = "Your Functions 4.0 app is up and running"
# Reserved under every prefix: https://github.com/Azure/azure-functions-host/issues/1781
_RESERVED = ("admin", "runtime")
_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length"}


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a caller may present; an empty key opens nothing."""

    function: str
    master: str

    def open(self, level: str, presented: str) -> bool:
        """Whether `presented` opens a function of this authLevel (anonymous, function or admin)."""
        allowed = {"anonymous": [], "function": [self.function, self.master], "admin": [self.master]}[level]
        return level == "anonymous" or any(
            key and hmac.compare_digest(key.encode(), presented.encode()) for key in allowed
        )


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP-triggered function: `rank` orders routes that match the same path, literal segments first."""

    function: Function
    pattern: re.Pattern[str]
    methods: frozenset[str]
    level: str
    rank: tuple[int, ...]


def keys_of(settings: Settings) -> Keys:
    return Keys(settings.values.get("LOCAL_FUNCTION_KEY", ""), settings.values.get("LOCAL_MASTER_KEY", ""))


def route_of(function: Function, prefix: str, settings: Settings, keys: Keys) -> Route:
    """Raises StartRefused for a bad template, or for a function that needs a key when no setting has one."""
    template = settings.resolve(str(function.trigger.get("route") or function.name), function.where).strip("/")
    level = str(function.trigger.get("authLevel", "function")).lower()
    if level != "anonymous" and not (keys.master or (level == "function" and keys.function)):
        raise StartRefused(
            f"authLevel is {level} and no key is set", function.where, "Set LOCAL_FUNCTION_KEY or LOCAL_MASTER_KEY."
        )
    if template.lower().startswith(_RESERVED):
        raise StartRefused(
            "The specified route conflicts with one or more built in routes.",
            function.where,
            'Begin the route with something else than "admin" or "runtime"; an empty routePrefix may help.',
        )
    segments = [segment for segment in f"{prefix}/{template}".split("/") if segment]
    pattern = "".join(_segment(segment, function) for segment in segments)
    rank = tuple(0 if "{" not in segment else 2 if "{*" in segment else 1 for segment in segments)
    methods = frozenset(str(method).upper() for method in function.trigger.get("methods", []))
    return Route(
        function=function,
        pattern=re.compile(pattern, re.IGNORECASE | re.DOTALL),
        methods=methods,
        level=level,
        rank=rank,
    )


def _segment(segment: str, function: Function) -> str:
    match = _PARAMETER.fullmatch(segment)
    if match is None:
        if "{" in segment or "}" in segment:
            raise StartRefused(
                f"the route segment {segment!r} is not understood",
                function.where,
                "Write {name}, {name:int}, {name?} or {*rest} as a whole segment.",
            )
        return "/" + re.escape(segment)
    rest, name, constraint, size, optional = match.groups()
    if constraint == "maxlength" and size:
        text = f"[^/]{{0,{size}}}"
    elif not size and (not constraint or constraint in _CONSTRAINTS):
        text = _CONSTRAINTS.get(constraint, "[^/]+")
    else:
        raise StartRefused(
            f"the route constraint {constraint!r} is not supported",
            function.where,
            f"Use one of {', '.join(sorted(_CONSTRAINTS))}, maxlength(N).",
        )
    if rest:
        return f"(?:/(?P<{name}>.*))?"
    value = f"/(?P<{name}>{text})"
    return f"(?:{value})?" if optional else value


def presented_key(request: web.Request) -> str:
    return request.headers.get("x-functions-key") or request.query.get("code") or ""


@dataclass(frozen=True, slots=True)
class HttpTriggers:
    """Answers requests for the routes of the app."""

    routes: Sequence[Route]
    keys: Keys
    sign_in: SignIn
    invoker: Invoker
    homepage: bool
    """Whether `/` is the host's own page, which Azure shows unless AzureWebJobsDisableHomepage is true."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """404 for an unknown route or method, 401 without the key, 500 with an empty body when the function fails."""
        if self.homepage and request.path == "/":
            return web.Response(text=_HOMEPAGE)
        for route in sorted(self.routes, key=lambda route: route.rank):
            match = route.pattern.fullmatch(request.path.rstrip("/"))
            if match and (not route.methods or request.method in route.methods):
                if not self.keys.open(route.level, presented_key(request)):
                    return web.Response(status=401)
                data = await _request_datum(request, self.sign_in.headers(request), match.groupdict())
                caller = request.headers.get("traceparent", "")
                outcome = await self.invoker.invoke(route.function, data, {}, caller)
                return _response(outcome.returned) if outcome.ok else web.Response(status=500)
        return web.Response(status=404)


async def _request_datum(request: web.Request, headers: Mapping[str, str], params: Mapping[str, str | None]) -> Datum:
    def text(values: Mapping[str, str]) -> dict[str, Datum]:
        return {name: Datum(value, "string") for name, value in values.items()}

    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(str(request.url), "string"),
            "headers": text(headers),
            "params": text({name: value for name, value in params.items() if value is not None}),
            "query": text(dict(request.query)),
            "body": Datum(await request.read(), "bytes"),
        },
        "http",
    )


def _response(returned: Datum | None) -> web.Response:
    if returned is None or returned.value is None:
        return web.Response(status=204)
    if returned.type != "http":
        return web.Response(text=str(returned.value))
    parts = returned.value
    response = web.Response(status=int(parts["status_code"].value), body=parts["body"].value)
    for name, value in parts["headers"].items():
        if name.lower() not in _HOP_BY_HOP:
            response.headers[name] = value.value
    for cookie in parts.get("cookies") or []:
        for morsel in cookie.values():
            response.headers.add("Set-Cookie", morsel.OutputString())
    return response
