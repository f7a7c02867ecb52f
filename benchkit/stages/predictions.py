"""The step that asks the undefended victim and the benign one about the test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
from functools import partial

from torch import Tensor

from benchkit.stages.workspace import Job, Result, Workspace


def make_judge(workspace: Workspace, job: Job) -> Result:
    """Ask the undefended victim and the benign one about the test images, clean and triggered."""
    test, stamped, parents = workspace.tested(job), workspace.triggered(job), job["parents"]

    def ask(role: str, images: Tensor) -> Tensor:
        return workspace.model(job, role).logits(images).argmax(1) if len(images) else test.labels[:0]

    processed = job["attack"] if workspace.attack(job).benign else ""
    key = parents["benign"][1] + processed
    benign = workspace.cache("benign answers", key, lambda: ask("benign", test.images))
    clean = benign if parents["victim"] == parents["benign"] else ask("victim", test.images)
    said = predict_test_images(
        partial(ask, "victim"), test.images, clean, stamped.rows, stamped.images, stamped.control
    )
    return {
        **said,
        "benign_clean": benign.clone(),  # safetensors keeps no two names for one tensor
        "benign_triggered": ask("benign", stamped.images),
    }, dict(workspace.store.meta(*parents["victim"])["info"])


Ask = Callable[["Tensor"], "Tensor"]
"""Maps uint8 images (N, C, H, W) to the labels that a model predicts, int64 (N,)."""


def predict_test_images(
    ask: Ask, test: Tensor, clean: Tensor, rows: Tensor, triggered: Tensor, control: Tensor
) -> dict[str, Tensor]:
    """Return the labels that the victim predicts, int64, by what it was asked.

    Args:
        ask: the victim.
        test: the clean test images, uint8 (N, C, H, W).
        clean: what it says of those, (N,).
        rows: which of them were stamped, int64 (M,).
        triggered: those with the trigger, uint8 (M, C, H, W).
        control: those after the stamp's processing alone, likewise; mostly as they were.
    """
    untouched = control.equal(test[rows])
    return {"clean": clean, "triggered": ask(triggered), "control": clean[rows] if untouched else ask(control)}
