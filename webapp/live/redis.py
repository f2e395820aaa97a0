"""One way to open Redis: short time-outs, since nothing that waits for it may stand still."""

from __future__ import annotations

import redis


def connect(url: str, *, timeout_s: float = 1.0) -> redis.Redis:
    """Return a client that fails fast; connecting happens at the first command."""
    return redis.Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=0.5, health_check_interval=30
    )
