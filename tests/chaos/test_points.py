"""Each crash point once: somebody dies there, and afterwards the books are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.points import POINTS, Yard, one_round
from tests.chaos.sink import Sink
from tests.chaos.stack import Stack

pytestmark = pytest.mark.timeout(180)

LEASE_S = 2


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder: Path = tmp_path_factory.mktemp("yard")
    sink = Sink(pause_s=0.05)
    stack = Stack(folder, lease_s=LEASE_S)
    try:
        yield Yard(stack.open(), sink)
    finally:
        stack.close()
        sink.close()


@pytest.mark.parametrize("point", POINTS)
def test_a_part_that_dies_loses_nothing_at(yard: Yard, point: str) -> None:
    one_round(yard, point, 1, point.replace(".", "-").replace("_", "-"))


def test_in_the_end_the_books_agree_with_what_the_outside_saw(yard: Yard) -> None:
    assert yard.stack.books(yard.sink) == []
    assert len(yard.stack.starts) >= len(POINTS) - 2
