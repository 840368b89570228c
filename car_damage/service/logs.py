"""Log formats: each record is one line of JSON for programs, or of text for people."""

import json
import logging
import secrets
import time
from typing import Any

REQUESTS = logging.getLogger("car_damage.requests")
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object with time, level, message and its `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{_utc(record.created)}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **dict(_extra(record)),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Formats a record as text, with `extra` as name=value and a traceback on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={_plain(value)}" for name, value in _extra(record))
        line = f"{_utc(record.created)} {record.levelname:7} {record.getMessage()}{extra}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def new_request_id() -> str:
    """Return a new random id, by which a request can be found in the log."""
    return secrets.token_hex(16)


def config(log_format: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig` and gunicorn's `logconfig_dict`."""
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    stdout = {"class": "car_damage.service.log_writer.StdoutHandler", "formatter": "line"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stdout": stdout},
        "root": {"level": "INFO", "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            "alembic": {"level": "WARNING"},  # at INFO, it logs each of its parts
            "werkzeug": {"level": "WARNING"},  # at INFO, it logs each request a second time
        },
    }


def _extra(record: logging.LogRecord) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(record).items() if name not in STANDARD]


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _plain(value: Any) -> str:
    """Escape line breaks and similar characters, so that a client cannot forge a log line."""
    return json.dumps(value, default=str) if isinstance(value, str | list | dict) else str(value)
