"""The wheel has all that Deckhand needs: installed anywhere, it serves from any folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.supervisor.test_up import Up
from webapp.kernel.shipped import release

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
FOLDERS = ("webapp", "jobs", "templates", "static", "migrations")


def pip(*words: str | Path, cwd: Path) -> None:
    quiet = ("-q", "--disable-pip-version-check", "--no-input")
    subprocess.run([sys.executable, "-m", "pip", *words, *quiet], cwd=cwd, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, built in a copy: others read the tree meanwhile."""
    copy = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", "dist", ".", cwd=copy)
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def deckhand(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a Python of its own with the wheel; what Deckhand depends on is lent from ours."""
    place = tmp_path_factory.mktemp("fresh")
    venv.create(place, symlinks=True, with_pip=False)
    python = place / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", wheel, cwd=place)
    lent = place / "lent"
    lent.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "deckhand" not in entry.name.lower():
            (lent / entry.name).symlink_to(entry)
    packages = next((place / "lib").glob("python*/site-packages"))
    (packages / "lent.pth").write_text(f"{lent}\n")
    return place / "bin" / "deckhand"


def test_it_holds_pages_styles_migrations_and_the_example(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()

    for pattern in (
        r"webapp/templates/layouts/\w+\.html",
        r"webapp/static/dist/app\.[0-9a-f]{12}\.css\.br",
        r"webapp/static/vendor/redoc\.standalone\.[0-9a-f]{12}\.js",
        r"webapp/migrations/versions/0001_\w+\.py",
        r"webapp/migrations/alembic\.ini",
        r"webapp/gallery/examples/overdue_invoices\.csv",
        r"jobs/steward\.py",
    ):
        assert any(re.fullmatch(pattern, name) for name in names), pattern
    strays = [name for name in names if re.search(r"(^|/)(tests|bench|data|screenshots)/", name)]
    assert strays == []
    assert f"deckhand-{release()}" in wheel.name


def test_installed_elsewhere_it_serves_its_pages(deckhand: Path, tmp_path: Path) -> None:
    house = Up(tmp_path / "data", program=(str(deckhand),), cwd=tmp_path)
    url = house.ready()
    house.hears("  Done in")  # the example has read its bundled file

    with urllib.request.urlopen(f"{url}/signin", timeout=5) as page:
        text = page.read().decode()
    style = re.search(r'href="(/static/app\.[0-9a-f]+\.css)"', text)
    assert style
    with urllib.request.urlopen(url + style.group(1), timeout=5) as answer:
        assert answer.status == 200
    assert house.ends(signal.SIGTERM) == 0
    assert os.listdir(tmp_path) == ["data"]
