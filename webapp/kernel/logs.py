"""Logs: one event a line, only fields that are known to be harmless.

Values of steps, forms and headers never reach a log line by accident, because a field that is
not on the list is dropped.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

from webapp.kernel.lean import without

with without("rich"):
    import structlog
    from structlog.typing import EventDict

FIELDS = frozenset(
    {
        "event", "level", "logger", "timestamp", "exception", "exc_info",
        "actor", "attempt", "code", "command", "count", "door", "due_in_s", "endpoint", "fence",
        "file", "host", "key", "kind", "lease_s", "method", "ms", "name", "organization", "part",
        "path", "pid", "port", "queue", "reason", "ref", "rows", "run", "seq", "signal", "size",
        "state", "status", "step", "version", "worker",
    }
)  # fmt: skip

_OURS = "deckhand"


def configure(log_format: Literal["text", "json"], level: str = "info") -> None:
    """Send everything that is logged, by structlog or by the standard library, to stderr."""
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _only_known,
        _traceback,
    ]
    face: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, face],
        )
    )
    root = logging.getLogger()
    handler.name = _OURS
    root.handlers[:] = [other for other in root.handlers if other.name != _OURS] + [handler]
    root.setLevel(level.upper())
    for noisy in ("werkzeug", "engineio.server", "socketio.server", "rq", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _only_known(_: Any, __: str, event: EventDict) -> EventDict:
    return {key: value for key, value in event.items() if key in FIELDS or key.startswith("_")}


def _traceback(_: Any, __: str, event: EventDict) -> EventDict:
    """Write where it happened: files, lines and kinds, but no message and no values."""
    found = event.pop("exc_info", None)
    if not found:
        return event
    error = found if isinstance(found, BaseException) else sys.exc_info()[1]
    if isinstance(found, tuple):
        error = found[1]
    event["exception"] = " <- ".join(_places(error)) if error is not None else ""
    return event


def _places(error: BaseException) -> list[str]:
    lines, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        lines.append(f"{code.co_filename.rpartition('/')[2]}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    cause = error.__cause__ or error.__context__
    rest = _places(cause)[:4] if cause is not None else []
    return [type(error).__qualname__, *reversed(lines[-8:]), *rest]
