"""What a template imports is run once a process, unless it needs the page that imports it."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask
from jinja2 import meta

TEMPLATES = Path(__file__).parents[2] / "templates"


def test_only_what_needs_its_page_is_imported_with_its_context(app: Flask) -> None:
    imported = {
        name
        for file in TEMPLATES.rglob("*.html")
        for name in re.findall(r'import "([^"]+)" as \w+ with context', file.read_text())
    }

    assert {name for name in imported if not needs_of(app, name)} == set()


def test_the_shared_pieces_need_nothing_of_a_page(app: Flask) -> None:
    shared = [f"shared/{file.name}" for file in (TEMPLATES / "shared").glob("*.html")]

    assert {name: found for name in shared if (found := needs_of(app, name) - {"parts"})} == {}


def needs_of(app: Flask, name: str) -> set[str]:
    tree = app.jinja_env.parse((TEMPLATES / name).read_text())
    return meta.find_undeclared_variables(tree) - set(app.jinja_env.globals)
