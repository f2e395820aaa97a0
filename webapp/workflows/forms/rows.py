"""Settings that are flat rows of a few cells: headers, columns, sort keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.workflows.forms.parts import ABSENT, Doc, Element, Env, Given, Part


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of flat rows. `values`: it may hold values of earlier steps."""

    key: str
    label: str
    kind: str = "text"
    choices: Sequence[tuple[str, str]] = ()
    values: bool = False
    width: str = ""
    placeholder: str = ""
    columns: bool = False
    more: bool = False
    """Few need it: behind one line."""


@dataclass(frozen=True, slots=True)
class Rows(Part):
    """Rows of a few cells: headers, columns, sort keys. Empty rows are dropped."""

    cells: Sequence[Cell] = ()
    add_label: str = "Add a row"
    blank: int = 0
    """How many empty rows stand there at least."""
    load: Callable[[Any], list[Doc]] = list
    store: Callable[[list[Doc]], Any] = list
    """From the setting to rows and back; the value cells are VALUEs in both."""

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = self.name(at)
        shown = [self._shown(row, env) for row in self.load(settings.get(self.key) or [])]
        blank = max(env.more.get(name, 0), self.blank) - len(shown)
        shown += [{} for _ in range(blank)]
        for number, row in enumerate(shown):
            row["errors"] = {
                cell.key: env.errors[f"{name}-{number}-{cell.key}"]
                for cell in self.cells
                if f"{name}-{number}-{cell.key}" in env.errors
            }
        columns = [self._column(cell, env) for cell in self.cells]
        return self._element("rows", at, env, rows=shown, columns=columns, add=self.add_label)

    def _shown(self, row: Doc, env: Env) -> Doc:
        shown: Doc = {}
        for cell in self.cells:
            value = row.get(cell.key)
            shown[cell.key] = env.here.show(value) if cell.values else _as_text(value)
        return shown

    def _column(self, cell: Cell, env: Env) -> Element:
        offered = env.tokens if cell.values else "columns" if cell.columns else ""
        return {
            "name": cell.key,
            "label": cell.label,
            "kind": cell.kind,
            "choices": cell.choices,
            "width": cell.width,
            "placeholder": cell.placeholder,
            "list": offered,
            "more": cell.more,
        }

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        before = self.load(old.get(self.key) or [])
        rows = []
        for index in given.indexes(name):
            was = before[index] if index < len(before) else {}
            row = self._row(given, f"{name}-{index}", was, env)
            if row is not None:
                rows.append(row)
        return self.store(rows) if rows else ABSENT

    def _row(self, given: Given, at: str, was: Doc, env: Env) -> Doc | None:
        row = dict(was)
        is_empty = True
        for cell in self.cells:
            text = given.text(f"{at}-{cell.key}").strip()
            is_empty = is_empty and (not text or cell.kind == "select")
            value: Any = env.here.read(text, was.get(cell.key)) if cell.values else text
            if value is None or value == "":
                row.pop(cell.key, None)
            elif _as_text(was.get(cell.key)) != text or cell.values:
                row[cell.key] = value
        return None if is_empty else row


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)
