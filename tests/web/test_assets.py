"""The built files reach the browser, quickly and safely."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from webapp.web import assets

STYLE = b"body{color:red}" * 50


def put(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    (folder / f"{name}.br").write_bytes(brotli.compress(content))


def write_list(folder: Path, **files: str) -> None:
    entries = {
        name.replace("__", "."): {"file": file, "integrity": f"sha384-{file}"}
        for name, file in files.items()
    }
    (folder / "manifest.json").write_text(json.dumps(entries))


@pytest.fixture
def static(tmp_path: Path) -> Path:
    put(tmp_path / "dist", "app.abc123.css", STYLE)
    write_list(tmp_path / "dist", app__css="app.abc123.css")
    put(tmp_path / "vendor", "redoc.def456.js", b"redoc()")
    write_list(tmp_path / "vendor", redoc__js="redoc.def456.js")
    return tmp_path


@pytest.fixture
def app(static: Path) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.testing = True
    assets.init_app(app, static)
    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


def test_a_template_gets_the_address_with_the_hash(app: Flask) -> None:
    with app.app_context():
        page = render_template_string("{{ asset('app.css') }} {{ integrity('vendor/redoc.js') }}")

    assert page == "/static/app.abc123.css sha384-redoc.def456.js"


def test_a_browser_may_keep_a_file_for_a_year(client: FlaskClient) -> None:
    answer = client.get("/static/app.abc123.css", buffered=True)

    assert answer.status_code == 200
    assert answer.data == STYLE
    assert answer.content_type == "text/css; charset=utf-8"
    assert set(answer.headers["Cache-Control"].split(", ")) == {
        "public",
        "max-age=31536000",
        "immutable",
    }
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accepted", "sent"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
def test_the_best_form_that_the_browser_reads_is_sent(
    client: FlaskClient, accepted: str, sent: str | None
) -> None:
    answer = client.get(
        "/static/app.abc123.css", headers={"Accept-Encoding": accepted}, buffered=True
    )

    unpack = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}[sent]
    assert answer.headers.get("Content-Encoding") == sent
    assert unpack(answer.data) == STYLE
    assert answer.content_type == "text/css; charset=utf-8"


def test_files_of_others_are_served_from_their_own_folder(client: FlaskClient) -> None:
    answer = client.get("/static/vendor/redoc.def456.js", buffered=True)

    assert answer.data == b"redoc()"
    assert answer.content_type == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "app.css",
        "app.abc123.css.gz",
        "manifest.json",
        "vendor/manifest.json",
        "dist/app.abc123.css",
        "../dist/app.abc123.css",
        "vendor/../dist/app.abc123.css",
        "%2e%2e/secret",
        "..%2fsecret",
        "/etc/hostname",
    ],
)
def test_nothing_but_the_listed_files_is_sent(client: FlaskClient, static: Path, path: str) -> None:
    (static / "secret").write_text("no")

    assert client.get(f"/static/{path}").status_code in {404, 308}


def test_a_new_build_is_seen_without_a_restart_in_development(app: Flask, static: Path) -> None:
    first = app.extensions["assets"].url("app.css")
    put(static / "dist", "app.fff.css", STYLE)
    write_list(static / "dist", app__css="app.fff.css")

    assert (first, app.extensions["assets"].url("app.css")) == (
        "/static/app.abc123.css",
        "/static/app.fff.css",
    )


def test_an_unbuilt_tree_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(assets.AssetsMissing, match="Run `make setup`"):
        assets.Assets(tmp_path).url("app.css")


def test_a_name_that_is_not_built_is_named(static: Path) -> None:
    with pytest.raises(assets.AssetsMissing, match=r"no file 'ap\.css'"):
        assets.Assets(static).url("ap.css")
