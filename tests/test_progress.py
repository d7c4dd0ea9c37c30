"""Long work that is told otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmstudio.progress import Progress, Work, finish, retold


def test_steps_are_told_anew_and_the_outcome_stays() -> None:
    def work() -> Work[str]:
        yield Progress(1, 2)
        yield Progress(2, 2)
        return "done"

    retelling, steps = retold(work(), lambda step: replace(step, text=f"step {step.done}")), []

    def collected() -> Work[str]:
        outcome = yield from retold(retelling, lambda step: (steps.append(step.text), step)[1])
        return outcome

    assert finish(collected()) == "done"
    assert steps == ["step 1", "step 2"]


def test_closed_it_closes_the_work_and_what_fails_fails() -> None:
    ended = []

    def work() -> Work[None]:
        try:
            yield Progress(1, 2)
            raise ValueError("as it happens")
        finally:
            ended.append(True)

    held = work()
    retelling = retold(held, lambda step: step)
    next(retelling)
    retelling.close()
    assert ended == [True]
    with pytest.raises(ValueError, match="as it happens"):
        finish(retold(work(), lambda step: step))
