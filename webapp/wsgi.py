"""The application for gunicorn: `webapp.wsgi:app`, made from the environment."""

from __future__ import annotations

from webapp.kernel.lean import without

with without("greenlet", "requests", "rich", "valkey"):
    from webapp.app import serve
from webapp.kernel.settings import load_settings

app = serve(load_settings())
