"""The crash points, where SECURITY.md looks for them; they live where web and engine reach them."""

from webapp.kernel.crashpoints import HERE, LATER, NAMES, crashpoint

__all__ = ["HERE", "LATER", "NAMES", "crashpoint"]
