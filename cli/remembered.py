"""The deployment that `login` remembers, in the user's own folder of settings. It holds no secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from cli.failures import Failed
from local.exit_status import Status

_LOG_IN = "run 'mis-class-sync login ADDRESS' with the address of your app, such as https://APP.azurewebsites.net"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed app by its address, and its sign-in: the client id and tenant of the admins' app registration.

    For an app of a local world, `user` is a test user, and there is no client.
    """

    address: str
    client: str = ""
    tenant: str = ""
    user: str = ""


def file_of_deployment() -> Path:
    return Path(typer.get_app_dir("mis-class-sync")) / "deployment.json"


def remember(deployment: Deployment) -> Path:
    """Returns the file. Raises Failed if it cannot be written."""
    file = file_of_deployment()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(deployment), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failed(
            f"the address cannot be remembered in {file}: {error.strerror or type(error).__name__}",
            "make room there, or see that you may write it",
            Status.REFUSED,
        ) from None
    return file


def remembered() -> Deployment:
    """Raises Failed before a first `login`."""
    file = file_of_deployment()
    try:
        return Deployment(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise Failed("you have not logged in to a deployment yet", _LOG_IN, Status.REFUSED) from None
    except (OSError, ValueError, TypeError) as error:
        raise Failed(f"{file} cannot be read ({type(error).__name__})", _LOG_IN, Status.REFUSED) from None
