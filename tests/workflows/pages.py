"""Read pages as a browser without script does: forms, their fields and buttons."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any


@dataclass
class Form:
    id: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: dict[str, Form] = {}
        self.here: Form | None = None
        self.area = ""
        self.select = ""
        self.text: list[str] = []
        self.disabled = 0

    def handle_starttag(  # noqa: C901  (one flat list of tags)
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.here = Form(given.get("id", ""), given.get("action", ""))
            self.forms[self.here.id] = self.here
        if tag == "button" and "name" in given:
            home = self.forms.get(given["form"]) if "form" in given else self.here
            if home is not None:
                home.buttons.append((given["name"], given.get("value", "")))
        if self.here is None:
            return
        name = given.get("name", "")
        if tag == "input" and name and given.get("type") in {"checkbox", "radio"}:
            if "checked" in given:
                self.here.fields[name] = given.get("value", "on")
        elif tag == "input" and name:
            self.here.fields[name] = given.get("value", "")
        elif tag == "textarea":
            self.area, self.text = name, []
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select:
            is_first = self.select not in self.here.fields
            if is_first or "selected" in given:
                self.here.fields[self.select] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self.area:
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self.area and self.here is not None:
            # A browser drops the first line break, and sends the others as two characters.
            text = "".join(self.text).removeprefix("\n").replace("\n", "\r\n")
            self.here.fields[self.area] = text
            self.area = ""
        if tag == "select":
            self.select = ""
        if tag == "form":
            self.here = None


def forms_of(html: str) -> dict[str, Form]:
    reader = _Reader()
    reader.feed(html)
    return reader.forms


def form_at(browser: Any, url: str, form_id: str) -> Form:
    answer = browser.get(url.partition("#")[0])
    assert answer.status_code == 200, answer.text
    return forms_of(answer.text)[form_id]


def send(browser: Any, form: Form, button: tuple[str, str] = ("save", "yes"), **typed: str) -> Any:
    """Press a button of a form in which `typed` was typed."""
    fields = {**form.fields, **{name.replace("__", "-"): value for name, value in typed.items()}}
    fields[button[0]] = button[1]
    return browser.post(form.action, data=fields)
