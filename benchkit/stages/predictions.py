"""The step that asks the undefended victim and the benign one about the test images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from benchkit.measure.truth import Stamped
from benchkit.plan.job import BENIGN, VICTIM, Role
from benchkit.stages.scenes import tested, triggered
from benchkit.stages.workspace import Result, Task


def make_judge(task: Task) -> Result:
    """Ask the undefended victim and the benign one about the test images, clean and triggered."""
    test, stamped = tested(task), triggered(task)

    def ask(role: Role, images: Tensor) -> Tensor:
        return task.model(role).logits(images).argmax(1) if len(images) else test.labels[:0]

    own = task.job.attack if task.attack.benign or task.attack.natural else ""  # has test images of its own
    key = task.ref(BENIGN).key + own
    benign = task.cache("benign answers", key, lambda: ask(BENIGN, test.images))
    clean = benign if task.ref(VICTIM) == task.ref(BENIGN) else ask(VICTIM, test.images)
    return {
        **predict_test_images(partial(ask, VICTIM), test.images, clean, stamped),
        "benign_clean": benign.clone(),  # safetensors keeps no two names for one tensor
        "benign_triggered": ask(BENIGN, stamped.images),
    }, task.info(VICTIM)


def predict_test_images(
    ask: Callable[[Tensor], Tensor], test: Tensor, clean: Tensor, stamped: Stamped
) -> dict[str, Tensor]:
    """Return the labels that the victim predicts, int64, by what it was asked.

    Args:
        ask: the victim: maps uint8 images (N, C, H, W) to labels, int64 (N,).
        test: the clean test images, uint8 (N, C, H, W).
        clean: what it says of those, (N,).
        stamped: which of them were stamped, with the trigger and without.
    """
    untouched = stamped.control.equal(test[stamped.rows])
    control = clean[stamped.rows] if untouched else ask(stamped.control)
    others = {"others": ask(stamped.others.images)} if stamped.others else {}
    return {"clean": clean, "triggered": ask(stamped.images), "control": control, **others}
