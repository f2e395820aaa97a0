"""A pytest plugin for CI: every test runs, or the build fails. No skip, no expected failure, no -k."""

from __future__ import annotations

from typing import Any

import pytest


def _forbidden(item: str, why: str) -> str:
    return f"{item}: {why}, and CI allows no test that does not run"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Turn every skip and every expected failure into a failure."""
    report = yield
    if report.skipped or hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = _forbidden(item.nodeid, "skipped or expected to fail")
        report.__dict__.pop("wasxfail", None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """Turn a file that skips itself into a failure."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = _forbidden(collector.nodeid, "skipped")
    return report


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Fail when tests were left out by -k or -m."""
    raise pytest.UsageError(_forbidden(items[0].nodeid, f"{len(items)} deselected"))
