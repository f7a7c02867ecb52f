"""The accuracy of a classifier on clean images, compared to predicting one class for all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchkit.errors import DataError
from benchkit.measure.rates import mean
from benchkit.plan.job import SHADOWS
from benchkit.protocol import generator
from benchkit.records.doubts import Known
from benchkit.scan.prepare import task_of

if TYPE_CHECKING:
    from benchkit.contracts.data import Split
    from benchkit.execute.request import Request
    from benchkit.models.classifier import Classifier
    from benchkit.stages.workspace import Task, Workspace

IMAGES = 1000
"""Maximum number of test images; a share of them has an error of about 3 %."""
SHADOWS_ASKED = 4
"""Number of shadow models whose accuracy is also measured."""


@dataclass(frozen=True)
class Accuracy(Known):
    """The accuracy of a classifier on images of ``dataset``."""

    dataset: str

    def row(self) -> dict[str, Any]:
        """Return it as shares, for programs."""
        return {"accuracy": self.share, "largest_class": self.largest / self.images}

    def said(self) -> str:
        """Return it as a sentence."""
        return (
            f"accuracy on {self.images} test images of {self.dataset}: {self.share:.1%}; "
            f"always predicting the most frequent class gives {self.largest / self.images:.1%}"
        )


def asked_about(task: Task) -> Split:
    """Return the test images for the accuracy, a random sample if there are many."""
    import torch

    test = task.data.test
    rows = torch.randperm(len(test), generator=generator(task.job.seed, "defender", "accuracy"))[:IMAGES]
    return test[rows.to(test.labels.device)]


def accuracy(task: Task, model: Classifier) -> Accuracy:
    """Measure the accuracy of a classifier on clean test images.

    Raises:
        DataError: if it is not better than predicting the most frequent class: then a detector's score is meaningless.
    """
    test = asked_about(task)
    right = int((model.logits(test.images).argmax(1) == test.labels).sum())
    found = Accuracy(right, len(test), int(test.labels.bincount().max()), task.job.dataset)
    if not found.knows:
        raise DataError(
            f"no verdict is possible: {found.said()}, and the score of a model that is no better means nothing "
            "(check that architecture, normalisation and order of the classes are those of its training)"
        )
    return found


def of_shadows(asked: Request, workspace: Workspace, number: int) -> float | None:
    """Return the mean accuracy, on the same images, of some shadow models of a defense, or None without any.

    Args:
        number: the position of the defense in the request.
    """
    task = task_of(asked, workspace, number)
    step = asked.plan.steps[asked.plan.cells[1 + number]]
    roles = [role for role, ref in step.job.of(SHADOWS) if asked.store.has(*ref)]
    if task is None or not roles:
        return None
    ref = step.parents[roles[0]]
    model = asked.plan.steps[ref.key].job.model
    theirs = workspace.task(replace(task.job, model=model, parents={**task.job.parents, roles[0]: ref}))
    test = asked_about(task)
    models = theirs.models(roles[0])[:SHADOWS_ASKED]
    return sum(mean(one.logits(test.images).argmax(1) == test.labels) for one in models) / len(models)
