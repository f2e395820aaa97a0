"""How gunicorn serves: `gunicorn -c python:webapp.commands.serving webapp.wsgi:app`."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import Any

from webapp.kernel.heartbeat import beat

_listener = os.environ.get("DECKHAND_LISTENER_FD")
if _listener:
    bind = f"fd://{_listener}"
    threads = int(os.environ["WEB_THREADS"])
else:
    from webapp.kernel.settings import load_settings

    _settings = load_settings()
    bind = f"{_settings.host}:{_settings.port}"
    threads = _settings.web_threads
worker_class = "gthread"
workers = 1
# Above the threads, or gunicorn keeps no connection alive.
worker_connections = threads * 2
keepalive = 65
timeout = 30
graceful_timeout = 5
backlog = 2048
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = ""  # webapp.web reads forwarded headers by TRUSTED_PROXIES
accesslog = None
errorlog = "-"
loglevel = "warning"
proc_name = "deckhand-web"
control_socket_disable = True


def on_starting(_server: Any) -> None:
    """Under another supervisor than ours, look before serving: what `deckhand up` does itself."""
    if not _listener:
        looked = subprocess.run(
            [sys.executable, "-m", "webapp.commands.preflight"],
            input=b"go\n",
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if looked.returncode:
            sys.exit(looked.returncode)


def post_fork(_server: Any, _worker: Any) -> None:
    """Tie the serving process to gunicorn's own: neither may outlive the other."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def post_worker_init(_worker: Any) -> None:
    """The app is loaded: from now on this process can answer."""
    beat()
