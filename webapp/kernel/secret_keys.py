"""The three keys an installation lives by: made once, kept in `DATA/secrets.env`."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from pathlib import Path

from dotenv import dotenv_values

KEYS = ("secret_key", "master_key", "audit_key")


def kept_keys(data: Path) -> tuple[dict[str, str], list[str]]:
    """Return the keys that the file has, and what is wrong with it."""
    path = data / "secrets.env"
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except OSError as error:
        return {}, [f"{path} can't be read ({error.strerror}). Check who owns the data folder."]
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return {}, [f"Other people of this machine can read {path}. Say `chmod 600 {path}`."]
    try:
        kept = {name.lower(): value for name, value in dotenv_values(path).items() if value}
    except (OSError, UnicodeDecodeError):
        return {}, [f"{path} can't be read. Check who owns it, or bring it back from a backup."]
    return {name: kept[name] for name in KEYS if name in kept}, []


def make_keys(data: Path, missing: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return new keys, kept in the file from now on, and what prevented it."""
    try:
        return _make(data, missing), []
    except OSError as error:
        return {}, [
            f"The data folder {data} can't be written ({error.strerror}). "
            "Choose another one with DATA=, or give yourself the right to write there."
        ]


def _make(data: Path, missing: list[str]) -> dict[str, str]:
    """Write new keys at the end of the file; two first starts at once agree on the same ones."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / "secrets.env"
    fresh = {name: secrets.token_urlsafe(48) for name in missing}
    before, _ = kept_keys(data)
    lines = [f"{name.upper()}={value}\n" for name, value in (before | fresh).items()]
    draft = data / f".secrets.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        if before:
            draft.replace(path)
        else:
            os.link(draft, path)
    except FileExistsError:
        # Somebody else was first: theirs are the keys of this installation.
        return {name: value for name, value in kept_keys(data)[0].items() if name in missing}
    finally:
        draft.unlink(missing_ok=True)
    sys.stderr.write(
        f"Made new keys in {path}. Keep a copy: nothing sealed can be opened without them.\n"
    )
    return fresh
