"""Puts into the wheel what stands beside the packages in the source tree; all else: pyproject."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("templates", "static/dist", "static/vendor", "migrations")


class BuildPy(build_py):
    """Copies the folders into `webapp`, where `webapp.kernel.shipped` finds them."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # a file that is gone stays gone
        super().run()
        if self.editable_mode:
            return
        for folder in FOLDERS:
            if folder.startswith("static/") and not Path(folder, "manifest.json").exists():
                sys.exit(f"{folder} is not built. Say `make setup` first.")
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(folder, Path(self.build_lib, "webapp", folder), ignore=ignored)


setup(cmdclass={"build_py": BuildPy})
