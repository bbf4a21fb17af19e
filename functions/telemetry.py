"""Structured logs for Cloud Logging: one JSON line per event, tied to the request's trace.

Of what a client wrote, nothing is logged but the id of a call that exists.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

_TRACE = "logging.googleapis.com/trace"
_SPAN = "logging.googleapis.com/spanId"
_TRACEPARENT = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")

_context: ContextVar[dict[str, object]] = ContextVar("telemetry", default={})  # noqa: B039 - never mutated
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Log:
    """Writes events of one module: `log.info("call cancelled", callId=…, latencyMs=41)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: object) -> None:
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, **fields: object) -> None:
        self._logger.error(event, extra={"fields": fields})

    def exception(self, event: str, **fields: object) -> None:
        """An error with the traceback of the exception being handled."""
        self._logger.exception(event, extra={"fields": fields})


@contextmanager
def request(project: str, traceparent: str | None, **fields: object) -> Iterator[None]:
    """Everything logged inside carries `fields` and the W3C `traceparent` of the request."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match:
        fields[_TRACE] = f"projects/{project}/traces/{match['trace']}"
        fields[_SPAN] = match["span"]
    context = _context.set(fields)
    parent = _traceparent.set(traceparent if match else None)
    try:
        yield
    finally:
        _traceparent.reset(parent)
        _context.reset(context)


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Everything logged inside carries `fields` too."""
    context = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(context)


def bind(**fields: object) -> None:
    """Everything logged from now on for the current request carries `fields` too."""
    _context.set({**_context.get(), **fields})


def traceparent() -> str | None:
    """The W3C `traceparent` of the current request, to be sent along with what it publishes."""
    return _traceparent.get()


def latency_ms(since: datetime | None, now: datetime) -> int | None:
    """Milliseconds from `since` to `now`, or None if `since` is not known."""
    return None if since is None else round((now - since).total_seconds() * 1000)


def configure() -> None:
    """Sends all logs of this process, ours and the libraries', to stdout as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("functions").setLevel(logging.INFO)
    # Google's libraries keep their records from the root logger unless their own has a level.
    google = logging.getLogger("google")
    google.setLevel(logging.WARNING)
    google.propagate = True


class _JsonLines(logging.Formatter):
    """One JSON line per record, as Cloud Logging reads it.

    https://cloud.google.com/logging/docs/structured-logging names the special fields.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC),
            "logger": record.name,
            **_context.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        known = {key: value for key, value in line.items() if value is not None}
        return msgspec.json.encode(known, enc_hook=str).decode()
