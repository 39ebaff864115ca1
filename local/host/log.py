"""Where log records go: text lines on stderr, and JSON lines in a file for programs that count events."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

# These log every frame or token at INFO.
_CHATTY = ("azure.servicebus", "azure.identity", "azure.core", "httpx", "aiohttp.access", "uamqp")


class JsonLines(logging.Formatter):
    """A record as one line of JSON: ts, level, logger, message; and `event` or `exception` if it has one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if "microsoft.custom_event.name" in vars(record):
            facts = {name[5:]: value for name, value in vars(record).items() if name.startswith("sync.")}
            line["event"] = {"name": record.getMessage(), **facts}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(path: Path | None, level: int = logging.INFO) -> None:
    """Send every record from `level` up to stderr, and to `path` where given, flushed line by line."""
    text = logging.StreamHandler(sys.stderr)
    text.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [text]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = logging.FileHandler(path, encoding="utf-8")
        lines.setFormatter(JsonLines())
        handlers.append(lines)
    logging.basicConfig(level=level, handlers=handlers)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
