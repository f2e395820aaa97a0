"""All built-in tools by name. A new one is a file beside this one, a line here, and a test."""

from __future__ import annotations

from webapp.engine.tools import calculator, csv_read
from webapp.engine.tools.tool import Tool

__all__ = ["TOOLS", "Tool"]

TOOLS: dict[str, Tool] = {tool.name: tool for tool in (calculator.TOOL, csv_read.TOOL)}
