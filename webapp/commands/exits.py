"""How commands end, for those who start them from a script."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webapp.kernel.settings import Settings

SETTINGS = 2
PORT_TAKEN = 3
FOLDER_HELD = 4
DATABASE = 5


def settings_or_end(*, makes_keys: bool = True) -> Settings:
    """Return the settings, or end the process with every problem told."""
    from webapp.kernel.settings import SettingsError, load_settings

    try:
        return load_settings(makes_keys=makes_keys)
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(SETTINGS)
