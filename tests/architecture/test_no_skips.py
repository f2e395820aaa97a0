"""CI lets no test go unrun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSING = "def test_it(): pass\n"


def verdict(tmp_path: Path, text: str, *options: str) -> int:
    """Return pytest's exit code for a file of tests under the plugin."""
    (tmp_path / "test_some.py").write_text(f"import pytest\n\n{text}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.no_skips", "-c", "/dev/null"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), *options, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode


def test_tests_that_run_pass(tmp_path: Path) -> None:
    assert verdict(tmp_path, PASSING) == 0


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.skip\ndef test_it(): pass\n",
        "def test_it(): pytest.skip('not today')\n",
        "@pytest.mark.xfail\ndef test_it(): assert False\n",
        "@pytest.mark.xfail\ndef test_it(): pass\n",
        "@pytest.fixture\ndef part(): pytest.skip('absent')\ndef test_it(part): pass\n",
        "pytest.importorskip('no_such_module')\ndef test_it(): pass\n",
    ],
)
def test_a_test_that_does_not_run_fails(tmp_path: Path, text: str) -> None:
    assert verdict(tmp_path, text) in (1, 2)


def test_leaving_tests_out_fails(tmp_path: Path) -> None:
    assert verdict(tmp_path, PASSING + "def test_other(): pass\n", "-k", "other") != 0
