"""Streaming text: kept in Redis while its attempt writes, told at most ten times a second."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import redis

from webapp.kernel.hints import Bell, Tell
from webapp.live.redis import connect

log = logging.getLogger(__name__)

_KEPT_S: Final = 15 * 60
"""Longer than an attempt may be silent. Its result is in the journal: nobody asks for more."""
_PAUSE_S: Final = 0.1
_MOST: Final = 400
_LONGEST: Final = 400_000


def text_key(run: str, path: str, attempt: int) -> str:
    return f"txt:{run}:{path}:{attempt}"


@dataclass(slots=True)
class _Stream:
    """Text of one attempt that was not told yet, from character `offset` on."""

    offset: int = 0
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    told_at: float = 0.0


class TextStreams:
    """Collects what steps say and passes it on every 100 ms or 400 characters.

    `emit` may be called from the worker's loop: it never waits. A thread sends.
    """

    def __init__(self, url: str, bell: Bell) -> None:
        self._redis = connect(url)
        self._bell = bell
        self._streams: dict[tuple[str, str, int], _Stream] = {}
        self._lock = threading.Lock()
        self._more = threading.Event()
        self._closing = False
        threading.Thread(target=self._work, name="texts", daemon=True).start()

    def close(self) -> None:
        """Let the thread end when it has told what it has."""
        self._closing = True
        self._more.set()

    def emit(self, run: str, path: str, attempt: int, offset: int, text: str) -> None:
        if offset > _LONGEST:
            return
        with self._lock:
            stream = self._streams.setdefault((run, path, attempt), _Stream(offset))
            stream.pieces.append(text)
            stream.size += len(text)
        self._more.set()

    def _work(self) -> None:
        while not self._closing:
            self._more.wait()
            self._more.clear()
            time.sleep(_PAUSE_S)  # the rate of telling, not a wait for anything
            with self._lock:
                ready, self._streams = self._streams, {}
            for (run, path, attempt), stream in ready.items():
                self._send(run, path, attempt, stream)

    def _send(self, run: str, path: str, attempt: int, stream: _Stream) -> None:
        # A model may send half of a surrogate pair, which no store keeps.
        text = "".join(stream.pieces).encode(errors="replace").decode()
        key = text_key(run, path, attempt)
        try:
            pipe = self._redis.pipeline(transaction=False)
            if stream.offset == 0:  # an attempt that is made again after a crash starts anew
                pipe.set(key, text.encode())
            else:
                pipe.append(key, text.encode())
            pipe.expire(key, _KEPT_S)
            pipe.execute()
        except (redis.RedisError, OSError) as error:
            log.warning("streaming text was lost: %s", error)
            return
        offset = stream.offset
        for start in range(0, len(text), _MOST):
            piece = text[start : start + _MOST]
            data = {"step": path, "attempt": attempt, "off": offset, "text": piece}
            self._bell.send([Tell(f"text:{run}:{path}", "step.text", 0, data)])
            offset += len(piece)


def text_so_far(url: str, run: str, path: str, attempt: int) -> str:
    """Return what an attempt has said until now; nothing when Redis is away."""
    try:
        kept = connect(url).get(text_key(run, path, attempt))
    except (redis.RedisError, OSError):
        return ""
    return bytes(kept).decode(errors="replace") if isinstance(kept, bytes) else ""
