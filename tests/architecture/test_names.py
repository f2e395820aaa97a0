"""A path can be guessed: files of a feature have known names, and every other has its reason."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOUNDATIONS = {"access", "audit", "commands", "engine", "kernel", "live", "web"}
FORBIDDEN = {"core", "common", "utils", "util", "helpers", "misc", "base_classes"}


def features() -> list[Path]:
    folders = [path for path in (ROOT / "webapp").iterdir() if (path / "__init__.py").exists()]
    return [path for path in folders if path.name not in FOUNDATIONS]


def test_every_file_of_a_feature_has_a_known_name_or_a_reason() -> None:
    words = set(re.findall(r"`(?:[a-z_]+/)?([a-z_]+)(?:\.py|/)`", contributing()))
    used = {
        f"{feature.name}/{path.stem}"
        for feature in features()
        for path in feature.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
    }

    assert sorted(name for name in used if name.split("/")[1] not in words) == []


def test_no_reason_stands_for_a_file_that_is_gone() -> None:
    named = re.findall(r"`([a-z_]+)/([a-z_]+)(\.py|/)`", contributing())
    gone = [
        f"{feature}/{name}"
        for feature, name, ending in named
        if feature in {path.name for path in features()}
        and not (ROOT / "webapp" / feature / f"{name}{ending}").exists()
    ]

    assert gone == []


def test_nothing_is_called_by_a_name_that_says_nothing() -> None:
    folders = ("webapp", "jobs", "tests", "templates", "static/css", "static/js")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]

    assert [str(path) for path in paths if path.stem in FORBIDDEN] == []


def contributing() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text()
