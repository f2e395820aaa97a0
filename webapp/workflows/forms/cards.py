"""Settings that are lists of records, each a card with fields of its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webapp.workflows.forms.parts import ABSENT, Doc, Element, Env, Given, Part, read_all, show_all


def name_from(label: str, used: set[str]) -> str:
    """Return a name for data made from what people read: "Total amount" -> total_amount."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:36]
    stem = stem if stem[:1].isalpha() else f"value_{stem}".rstrip("_")
    name, number = stem, 1
    while name in used:
        number += 1
        name = f"{stem}_{number}"
    return name


def is_stopgap(name: str) -> bool:
    """Whether the name was only given because a thing needs one before it has a label."""
    return re.fullmatch(r"(question|value)_\d+", name) is not None


@dataclass(frozen=True, slots=True)
class Cards(Part):
    """A list of records, each with fields of its own.

    Attributes:
        parts: the fields of a record.
        kinds: instead, the fields by the record's word under `by`, as operations have.
        fresh: a new record for an added word, given the ones that are there.
        title: heading of a record.
    """

    parts: Sequence[Part] = ()
    by: str = ""
    kinds: Mapping[str, tuple[str, Sequence[Part]]] = field(default_factory=dict)
    add_label: str = "Add"
    one: str = "entry"
    in_rows: bool = False
    named: bool = False
    """Whether a record's name for data is made from its label."""
    choose: Callable[[Doc], Sequence[Part]] | None = None
    """Instead of `parts`: the fields that this record needs."""
    fresh: Callable[[str, list[Doc]], Doc] = lambda word, present: {}
    title: Callable[[Doc], str] = lambda entry: str(entry.get("label") or "")

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = self.name(at)
        was, env.in_rows = env.in_rows, self.in_rows or env.in_rows
        entries = settings.get(self.key) or []
        cards = [
            self._card(entry, f"{name}-{number}", number, env)
            for number, entry in enumerate(entries)
            if isinstance(entry, dict)
        ]
        env.in_rows = was
        adds = [(word, label) for word, (label, _) in self.kinds.items()] or [("", self.add_label)]
        return self._element("cards", at, env, cards=cards, adds=adds, one=self.one)

    def _card(self, entry: Doc, at: str, number: int, env: Env) -> Element:
        word = str(entry.get(self.by, "")) if self.by else ""
        label = self.kinds[word][0] if word in self.kinds else ""
        return {
            "at": at,
            "number": number + 1,
            "key": self._key_of(entry),
            "title": label or self.title(entry) or f"{self.one.capitalize()} {number + 1}",
            "elements": show_all(self._parts(entry), entry, at, env),
        }

    def _parts(self, entry: Doc) -> Sequence[Part]:
        if self.choose is not None:
            return self.choose(entry)
        if not self.by:
            return self.parts
        return self.kinds.get(str(entry.get(self.by, "")), ("", ()))[1]

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        name = self.name(at)
        was, env.in_rows = env.in_rows, self.in_rows or env.in_rows
        before = [one for one in old.get(self.key) or [] if isinstance(one, dict)]
        places = self._places(given, name, before)
        # A card that the form did not show, because somebody else added it, is kept.
        entries = [
            self._read_entry(entry, given, f"{name}-{place}", env) if place is not None else entry
            for entry, place in zip(before, places, strict=True)
        ]
        for place in sorted(set(_shown(given, name)) - set(places)):
            entries += self._brought_back(given, f"{name}-{place}", entries, env)
        env.in_rows = was
        added = given.text(f"{name}-new")
        entries = given.rearranged(name, entries, lambda word: self._fresh(word or added, entries))
        if self.named:
            _name_all(entries)
        return entries or ABSENT

    def _read_entry(self, entry: Doc, given: Given, at: str, env: Env) -> Doc:
        return read_all(self._parts(entry), given, at, entry, env)

    def _places(self, given: Given, name: str, before: list[Doc]) -> list[int | None]:
        """Return for each entry which card of the form is about it, None for no card.

        Somebody else may have added and removed entries since the form was shown, so an entry is
        known by its name or id where it has one, and by its place where it has none yet.
        """
        shown = _shown(given, name)
        by_key = {key: place for place, key in shown.items() if key}
        known = {self._key_of(entry) for entry in before}
        return [
            by_key.get(self._key_of(entry), place if _is_free(shown.get(place), known) else None)
            for place, entry in enumerate(before)
        ]

    def _brought_back(self, given: Given, at: str, present: list[Doc], env: Env) -> list[Doc]:
        """Return the entry of a card that is kept although somebody else removed the entry."""
        key = given.text(at)
        if not key or is_stopgap(key) or self.kinds:
            return []
        entry = {**self.fresh("", present), self._key: key}
        # Twice: which fields there are may follow from what the first reading finds.
        return [self._read_entry(self._read_entry(entry, given, at, env), given, at, env)]

    @property
    def _key(self) -> str:
        return "name" if self.named else "id"

    def _key_of(self, entry: Doc) -> str:
        return str(entry.get(self._key) or "")

    def _fresh(self, word: str, present: list[Doc]) -> Doc:
        known = {self.by: word} if word in self.kinds else {}
        return {**self.fresh(word, present), **known}


def _shown(given: Given, name: str) -> dict[int, str]:
    """Return the cards that the form has: the key of each by its place."""
    places = (place for place in given.indexes(name) if given.has(f"{name}-{place}"))
    return {place: given.text(f"{name}-{place}") for place in places}


def _is_free(key: str | None, known: set[str]) -> bool:
    """Whether a card may be about the entry at its place: nothing else has its name."""
    return key == "" or (key is not None and is_stopgap(key) and key not in known)


def _name_all(entries: list[Doc]) -> None:
    """Give each labelled entry the name that data has for it; a name once given stays."""
    used = {str(one["name"]) for one in entries if one.get("name")}
    for entry in entries:
        if entry.get("label") and not entry.get("name"):
            entry["name"] = name_from(str(entry["label"]), used)
            used.add(entry["name"])


@dataclass(frozen=True, slots=True)
class Label(Part):
    """What people call a named thing; its name for data is made once and kept.

    A thing that only has a name shows that.
    """

    def show(self, settings: Doc, at: str, env: Env) -> Element:
        name = str(settings.get("name") or "")
        value = str(settings.get(self.key) or ("" if is_stopgap(name) else name))
        return self._element("text", at, env, value=value, attrs={"maxlength": 60})

    def read(self, given: Given, at: str, old: Doc, env: Env) -> Any:
        text = " ".join(given.text(self.name(at)).split())[:60]
        is_name = not old.get(self.key) and text == old.get("name")
        return ABSENT if is_name or not text else text
