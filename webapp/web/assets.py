"""Style, script and pictures of the pages: files whose names carry their content's hash.

`static/build.mjs` makes them and their compressed forms. The address of a file changes with
its content, so browsers may keep it for a year, and the server only picks the form to send.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, current_app, request, send_from_directory

from webapp.kernel.shipped import folder_of
from webapp.web import formats, shapes
from webapp.web.doors import Policy, declare

FOLDERS = {"": "dist", "vendor/": "vendor"}
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
ENCODINGS = {"br": ".br", "gzip": ".gz"}
A_YEAR_S = 31_536_000


class AssetsMissing(RuntimeError):
    """The files were not built; says how to build them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One built file.

    Attributes:
        file: name with its hash, such as "app.1f2e….css".
        integrity: for the `integrity` attribute, such as "sha384-…".
    """

    file: str
    integrity: str


class Assets:
    """The built files by their plain names; reads the lists again when they changed.

    Args:
        static: folder that holds `dist` and `vendor`.
        watch: look for new lists at each question, for development.
    """

    def __init__(self, static: Path, watch: bool = False) -> None:
        self.static = static
        self.watch = watch
        self._known: dict[str, Asset] = {}
        self._seen: tuple[int, ...] = ()

    def url(self, name: str) -> str:
        return f"/static/{self._find(name).file}"

    def integrity(self, name: str) -> str:
        return self._find(name).integrity

    def holds(self, file: str) -> bool:
        """Tell whether a name with hash is one of ours; nothing else is ever opened."""
        return any(asset.file == file for asset in self._all().values())

    def _find(self, name: str) -> Asset:
        known = self._all()
        if name not in known:
            raise AssetsMissing(f"static/build.mjs makes no file {name!r}.")
        return known[name]

    def _all(self) -> dict[str, Asset]:
        if self._known and not self.watch:
            return self._known
        lists = {start: self.static / folder / "manifest.json" for start, folder in FOLDERS.items()}
        seen = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in lists.values())
        if 0 in seen:
            raise AssetsMissing(f"{self.static} holds no built files. Run `make setup`.")
        if seen != self._seen:
            self._known = {
                start + name: Asset(start + entry["file"], entry["integrity"])
                for start, path in lists.items()
                for name, entry in json.loads(path.read_bytes()).items()
            }
            self._seen = seen
        return self._known


blueprint = Blueprint("assets", __name__)


@blueprint.get("/static/<path:file>")
def send(file: str) -> Response:
    """Send one built file, compressed as the browser likes it best."""
    assets: Assets = current_app.extensions["assets"]
    if not assets.holds(file):
        abort(404)
    folder, _, name = file.rpartition("/")
    encoding = _best_encoding()
    answer = send_from_directory(
        assets.static / (folder or "dist"),
        name + ENCODINGS.get(encoding, ""),
        mimetype=TYPES.get(Path(name).suffix, "application/octet-stream"),
        max_age=A_YEAR_S,
        etag=False,  # the name already says which content it is
    )
    answer.cache_control.public = True
    answer.cache_control.immutable = True
    answer.vary.add("Accept-Encoding")  # or a cache between us hands br to who can't read it
    if encoding in ENCODINGS:
        answer.content_encoding = encoding
    return answer


def _best_encoding() -> str:
    # Brotli before gzip when both are welcome: every browser accepts both with one weight.
    return request.accept_encodings.best_match([*ENCODINGS, "identity"], default="identity")


def init_app(app: Flask, static: Path | None = None) -> None:
    """Serve the files; give templates `asset("app.css")`, `integrity(…)` and our filters.

    The app itself must be made with `static_folder=None`, or Flask's own route wins.
    """
    assets = Assets(static or folder_of("static"), watch=bool(app.debug or app.testing))
    app.extensions["assets"] = assets
    app.register_blueprint(blueprint)
    declare(app, "assets.send", Policy("none"))
    helpers: dict[str, Any] = {"asset": assets.url, "integrity": assets.integrity}
    app.jinja_env.globals.update(helpers)
    app.jinja_env.filters.update(formats.FILTERS | shapes.FILTERS)
