"""The web apps of the service, built once a process: to build one takes longer than most tests of it.

An app reads what it serves from its state, at each request; a test serves its own.
"""

from __future__ import annotations

from functools import cache

from fastapi import FastAPI

from sync_core.app import App
from sync_core.config import parse_settings
from sync_core.http.admin.app import build_api
from sync_core.http.console.app import build_console
from sync_core.services import Services
from tests.fakes.memory_state import MemoryState
from tests.fakes.memory_tenant import MemoryTenant
from tests.fakes.services import services
from tests.http.memory_api import ENVIRONMENT, Api, Mis


def serve_api(app: App) -> FastAPI:
    """The admin API, which serves `app` until the next call."""
    return _serve(_admin_api(), app)


def serve_console(app: App) -> FastAPI:
    """The console, which serves `app` until the next call."""
    return _serve(_console(), app)


@cache
def _admin_api() -> FastAPI:
    return build_api(_no_app())


@cache
def _console() -> FastAPI:
    return build_console(_no_app())


def _no_app() -> App:
    return App(parse_settings(ENVIRONMENT), services(MemoryState()))


def _serve(built: FastAPI, app: App) -> FastAPI:
    built.state.app = app
    return built


def serve_services(services: Services, state: MemoryState, tenant: MemoryTenant) -> Api:
    """The API over the services of a scene. The MIS of the Api is not that of the scene, and nobody reads it."""
    app = App(parse_settings(ENVIRONMENT), services)
    return Api(app, state, tenant, Mis([]), serve_api(app))
