"""D15 of SECURITY.md: whenever the worker dies, the ledger is what the model's server counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.model import Model
from tests.chaos.money import POINTS, broken, one_death, priced
from tests.chaos.stack import Stack

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Iterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("money")
    made = Stack(folder, lease_s=2, **model.env)
    try:
        yield made.open()
    finally:
        made.close()


def test_a_worker_that_dies_at_any_point_leaves_exact_books(stack: Stack, model: Model) -> None:
    workflow = priced(stack)

    for number, point in enumerate(POINTS[::2]):  # `make chaos` has them all, again and again
        one_death(stack, workflow, point, f"d{number}")
        assert broken(stack, model) == [], point

    assert len(model.calls) > len(POINTS), "a call that was lost is made again"
