"""Write the pages that are made from code: docs/settings.md and .env.example (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from webapp.kernel.settings import Settings

ROOT = Path(__file__).parents[2]
GROUPS = {
    "app_env": "Serving",
    "database_url": "Storage",
    "secret_key": "Keys",
    "model_base_url": "The outside world",
    "workers": "Running",
}
# Where the default depends on the machine, the pages say how.
SPOKEN_DEFAULTS = {"workers": "2, or 1 on one core"}


def settings_page() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Made from webapp/kernel/settings.py by `make docs`. The environment wins over `.env`,",
        "which wins over `DATA/secrets.env`. Empty counts as not set. What is wrong is said",
        "all at once.",
    ]
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            lines += ["", f"## {GROUPS[name]}", "", "| name | default | what |", "|---|---|---|"]
        default = SPOKEN_DEFAULTS.get(name) or (f"`{_default(field)}`" if _default(field) else "")
        lines.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def example_file() -> str:
    """Return .env.example: every setting, commented out, with its default."""
    lines = ["# Copy to .env and change what you need. docs/settings.md is the same list."]
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            lines += ["", f"# --- {GROUPS[name]}"]
        default = "" if name in SPOKEN_DEFAULTS else _default(field)
        lines += [f"# {field.description}", f"#{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    if default is PydanticUndefined or default in ("", ()) or "Secret" in type(default).__name__:
        return ""
    return "0" if default is False else str(default)


PAGES = {"docs/settings.md": settings_page, ".env.example": example_file}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page())
        print(path)
