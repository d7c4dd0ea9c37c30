"""What is reckoned in the process beside gives the same as here."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from mmstudio.errors import StudioError
from mmstudio.explore.aside import Aside
from mmstudio.explore.clustering import k_means
from mmstudio.explore.pacmap import pacmap
from mmstudio.explore.projection import Wish, project
from mmstudio.progress import finish

VECTORS = np.random.default_rng(0).normal(size=(2000, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def aside() -> Iterator[Aside]:
    made = Aside()
    yield made
    made.stop()


def test_the_answer_is_that_of_here_and_partial_results_come(aside: Aside) -> None:
    steps, work = [], aside.run(pacmap, VECTORS)
    try:
        while True:
            steps.append(next(work))
    except StopIteration as stop:
        places = stop.value
    assert np.allclose(places, finish(pacmap(VECTORS)), atol=1e-4)
    assert any(step.fresh is not None and step.fresh.shape == (2000, 2) for step in steps)


def test_the_process_stays_and_an_error_comes_through_as_it_is(aside: Aside) -> None:
    first = aside._process
    assert finish(aside.run(k_means, VECTORS, 3)).max() == 2
    with pytest.raises(StudioError, match="two dimensions"):
        finish(aside.run(project, VECTORS, Wish("tsne", axes=3)))
    assert finish(aside.run(k_means, VECTORS, 2)).max() == 1
    assert aside._process is first


def test_what_is_closed_ends_soon_and_the_next_is_answered(aside: Aside) -> None:
    work = aside.run(pacmap, VECTORS)
    while not next(work).done:
        pass
    started = time.monotonic()
    work.close()
    assert time.monotonic() - started < 10
    assert len(finish(aside.run(k_means, VECTORS, 4))) == 2000


def test_a_second_work_waits_for_the_first(aside: Aside) -> None:
    first, second = aside.run(pacmap, VECTORS), aside.run(k_means, VECTORS, 2)
    next(first)
    assert next(second).text.startswith("waiting")
    finish(first)
    assert finish(second).max() == 1


def test_a_process_that_dies_is_told_and_another_is_started(aside: Aside) -> None:
    work = aside.run(pacmap, VECTORS)
    next(work)
    assert aside._process is not None
    aside._process.kill()
    with pytest.raises(StudioError, match="has ended"):
        finish(work)
    assert len(finish(aside.run(k_means, VECTORS, 4))) == 2000
