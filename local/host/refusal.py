"""What the host says when it will not start an app: the one error that ends the process with status 1."""


class StartRefused(Exception):
    """The app, host.json or a setting is not what Azure would accept.

    Says what is wrong, where, and the remedy.
    """

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.what = what
        self.where = where
        self.remedy = remedy
