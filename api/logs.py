"""Logs of every library as one stream: JSON for machines, colours on a terminal, with the request they belong to."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor

from api.settings import Settings

# Local variables stay out of the log: they hold passwords and tokens.
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
QUIET = ("uvicorn.access", "alembic", "httpx", "asyncio")

_known: ContextVar[dict[str, Any] | None] = ContextVar("known", default=None)
"""What every line of this task, and of those it starts, says of the request they belong to."""
_plain = False
"""Lines are JSON, so that one can be written without going through every processor."""
_process = "api"
_lines: list[bytes] = []
_size = 0
"""Of these lines."""
REST = 0.02
"""Seconds a line may wait for others: to write each took longer than to make it."""
TOGETHER = 4_096
"""Bytes a pipe takes in one piece: what another process writes to it comes before or after."""
LONGEST_OPERATION = 120
LONGEST_PATH = 200
"""Characters of what the client chose."""
_LINE = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


def configure(settings: Settings, *, process: str = "api") -> None:
    """Send every log line of this process to standard error in one format."""
    global _plain, _process
    human = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    _plain, _process = not human and settings.log_level.upper() in ("DEBUG", "INFO"), process
    atexit.unregister(_write)
    atexit.register(_write)
    shared: list[Processor] = [
        _of_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _of_process(process),
    ]
    render: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if human
        else [TRACEBACKS, structlog.processors.JSONRenderer(serializer=_json)]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def begin(**known: Any) -> None:
    """Name the request on every later line of this task, and nothing of an earlier one."""
    _known.set(known)


def bind(**known: Any) -> None:
    """Say more of the request: organization, principal, operation."""
    operation = known.get("operation")
    if operation is not None and len(operation) > LONGEST_OPERATION:
        known["operation"] = _cut(operation, LONGEST_OPERATION)
    if (request := _known.get()) is None:
        _known.set(known)
    else:
        request.update(known)


def clear() -> None:
    _known.set(None)


def access(**said: Any) -> None:
    """The line of an answered request. There is one for each, so it takes the short way."""
    global _size
    if len(path := said.get("path", "")) > LONGEST_PATH:
        said["path"] = _cut(path, LONGEST_PATH)
    if not _plain:
        log("api.access").info("request", **said)
        return
    line = {
        **said, "event": "request", **(_known.get() or {}), "level": "info", "logger": "api.access",
        "timestamp": datetime.now(UTC), "process": _process,
    }  # fmt: skip
    written = orjson.dumps(line, default=str, option=_LINE)
    if _size + len(written) > TOGETHER:
        _write()
    if not _lines:
        asyncio.get_running_loop().call_later(REST, _write)
    _lines.append(written)
    _size += len(written)


def _write() -> None:
    """The lines that have come meanwhile, together."""
    global _size
    if not _lines:
        return  # there were so many that they did not wait
    text = b"".join(_lines).decode()
    _lines.clear()
    _size = 0
    with suppress(OSError, ValueError):  # nobody reads any more: that is no reason to break an answer
        sys.stderr.write(text)


def _cut(text: str, most: int) -> str:
    return f"{text[: most - 1]}…"


def log(name: str) -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _of_request(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name, value in (_known.get() or {}).items():
        event.setdefault(name, value)
    return event


def _of_process(process: str) -> Processor:
    def add(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return add


def _json(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
