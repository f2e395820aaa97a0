"""The real templates, style and script, behind a few doors that answer as a test wants.

What pages do in a browser can be tried here without accounts, runs and workers.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask, Response, make_response, render_template, request
from flask_socketio import SocketIO, join_room, leave_room
from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup
from werkzeug.serving import make_server

from webapp.web import assets, pieces, security

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 4, 13, 2, 11, tzinfo=UTC)


@dataclass
class Person:
    name: str = "Olga Berg"
    theme: str = ""
    zone: str = "Europe/Berlin"


@dataclass
class Problem:
    status: int
    code: str = "E-EXAMPLE"
    title: str = "This did not work."
    text: str = "The reason stands here."
    not_done: str = "Nothing was changed."
    ref: str = "7F2K-19"
    retry_after: int | None = None
    actions: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Story:
    """What happened, and what shall happen."""

    sent: list[dict[str, str]] = field(default_factory=list)
    saves_to_fail: int = 0
    signed_in: bool = False
    seq: int = 1
    done: bool = False
    text: str = "Hello "
    asked: int = 0
    sockets: bool = True
    joined: list[str] = field(default_factory=list)


class SmallApp:
    def __init__(self) -> None:
        self.story = Story()
        self.flask = Flask("small", static_folder=None)
        self.socketio = SocketIO(self.flask, async_mode="threading")
        self._templates()
        self._pages()
        self._changes()
        self._live()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server("127.0.0.1", 0, self.flask, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def tell(self, room: str, kind: str, seq: int = 0, **data: Any) -> None:
        message = {"v": 1, "room": room, "seq": seq, "type": kind, "data": data}
        self.socketio.emit(kind, message, namespace="/live", to=room)

    def _templates(self) -> None:
        app = self.flask
        app.testing = True
        app.jinja_loader = ChoiceLoader(
            [
                FileSystemLoader(ROOT / "templates"),
                FileSystemLoader(Path(__file__).parent / "pages"),
            ]
        )
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        assets.init_app(app)
        pieces.init_app(app, lambda: "Europe/Berlin")

        def hidden(name: str, value: str) -> Markup:
            return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)

        app.jinja_env.globals.update(
            csrf_field=lambda: hidden("csrf_token", "first"),
            once_field=lambda: hidden("once", "once-once-once-once"),
            said=lambda: request.args.get("said", ""),
            now=lambda: NOW,
        )

        @app.context_processor
        def given() -> dict[str, Any]:
            return {
                "me": Person(theme=request.args.get("theme", "")),
                "organization": {"name": "Nordlicht GmbH", "slug": "nordlicht"},
                "nav": [
                    {"id": "workflows", "icon": "workflow", "label": "Workflows", "href": "/act",
                     "key": "w", "short": True},
                    {"id": "runs", "icon": "run", "label": "Runs", "href": "/live-page",
                     "key": "r", "short": True, "badge": 2, "badge_says": "running now"},
                ],
                "shell": {"home_url": "/act", "menu_url": "/layouts/menu", "search_url": "/act",
                          "search_label": "Find a workflow", "create_url": "/act",
                          "help_url": "/act", "signout_url": "/signout",
                          "account": [("Your account", "/act")]},
                "part_only": False,
                "story": self.story,
            }  # fmt: skip

        @app.after_request
        def guard(response: Response) -> Response:
            response.headers["Content-Security-Policy"] = security.policy(request.path)
            return response

    def _pages(self) -> None:
        @self.flask.get("/docs")
        @self.flask.get("/redoc")
        def api() -> str:
            reader = "redoc" if request.path == "/redoc" else "swagger"
            return render_template("layouts/api.html", reader=reader, url="/openapi.json")

        @self.flask.get("/openapi.json")
        def description() -> dict[str, Any]:
            operation = {"summary": "List what there is", "responses": {"200": {"description": ""}}}
            paths = {"/things": {"get": operation}}
            info = {"title": "Deckhand", "version": "1"}
            return {"openapi": "3.1.0", "info": info, "paths": paths}

        @self.flask.get("/<path:name>")
        def page(name: str) -> str:
            status = int(request.args.get("p", 404))
            wait = 30 if status in {429, 503} else None
            return render_template(f"{name}.html", problem=Problem(status, retry_after=wait))

    def _changes(self) -> None:
        story = self.story

        @self.flask.post("/answer/<int:status>")
        def answer(status: int) -> tuple[str, int]:
            story.sent.append(dict(request.form))
            if status == 422:
                return render_template("name_form.html", wrong=True), 422
            problem = Problem(status, retry_after=2 if status == 429 else None)
            return render_template("errors/notice.html", problem=problem), status

        @self.flask.post("/signed")
        def signed() -> tuple[str, int]:
            if not story.signed_in:
                return render_template("errors/signed_out.html", signin_url="/again"), 401
            story.sent.append(dict(request.form))
            return '<p id="signed">Sent</p>', 200

        @self.flask.post("/again")
        def again() -> Response:
            story.signed_in = True
            sent = {"signed-in": {"csrf": "second"}}
            return make_response("", 204, {"HX-Trigger": json.dumps(sent)})

        @self.flask.post("/save")
        def save() -> tuple[str, int]:
            if story.saves_to_fail:
                story.saves_to_fail -= 1
                return "", 503
            story.sent.append(dict(request.form))
            return render_template("saved.html"), 200

    def _live(self) -> None:
        story = self.story

        @self.flask.get("/live-part")
        def live_part() -> str:
            story.asked += 1
            return render_template("live_part.html")

        @self.socketio.on("connect", namespace="/live")
        def connect(auth: object = None) -> bool:
            return story.sockets

        @self.socketio.on("join", namespace="/live")
        def join(message: dict[str, Any]) -> dict[str, Any]:
            join_room(message["room"])
            story.joined.append(message["room"])
            return {"ok": True, "seq": story.seq, "behind": max(0, story.seq - message["after"])}

        @self.socketio.on("leave", namespace="/live")
        def leave(message: dict[str, Any]) -> None:
            leave_room(message["room"])
