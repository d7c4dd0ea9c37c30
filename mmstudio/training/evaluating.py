"""What a finished run's model told, evaluated by its task."""

from __future__ import annotations

from mmstudio.errors import TrainingError
from mmstudio.training.evaluating_classes import one_class
from mmstudio.training.evaluating_labels import several_labels
from mmstudio.training.evaluating_others import aligned, amounts, captioned
from mmstudio.training.evaluation import Evaluation
from mmstudio.training.job import TrainingJob
from mmstudio.training.told import Told


def evaluated(told: Told, job: TrainingJob) -> Evaluation:
    """All that is shown of a finished run. Raises TrainingError where the job is not the one that told this."""
    wide = (len(job.modalities), job.outputs) if job.task == "alignment" else (job.outputs,)
    labels = (len(job.classes),) if job.task == "multi-label" else ()
    if told.outputs.shape[1:] != wide or (told.targets.shape[1:] != labels and job.task != "captioning"):
        raise TrainingError("What the model told is not of this job.", hint="Train the run anew.")
    rows = told.rows(told.held_out)
    look = {"classification": one_class, "multi-label": several_labels, "regression": amounts, "alignment": aligned,
            "captioning": captioned}
    try:
        return look[job.task](told, job, rows)
    except (ValueError, IndexError) as error:
        raise TrainingError(f"What the model told cannot be measured ({error}).", hint="Train the run anew.") from error
