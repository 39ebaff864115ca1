"""The error that keeps the host from starting an app; it ends the process with status 1."""


class StartRefused(Exception):
    """The app, host.json or a setting is not what Azure would accept; the message has the place, problem and remedy."""

    def __init__(self, problem: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}. {remedy}")
        self.where = where
