"""Weights & Biases: one run per record in the project that BENCHKIT_WANDB names."""

from __future__ import annotations

from typing import Any

import benchkit

from . import _record

VARIABLE = "BENCHKIT_WANDB"


@benchkit.hookimpl
def benchkit_cell_finished(record: dict[str, Any]) -> None:
    """Log the record's metrics, and its settings as the config of the run; runs are grouped by attack.

    wandb's own settings apply (``wandb login``, ``WANDB_MODE=offline``, ``WANDB_DIR``); no console output and no code
    is captured.
    """
    project = _record.asked(VARIABLE)
    if not project:
        return
    wandb = _record.library("wandb", "wandb", VARIABLE)
    run = wandb.init(
        project=project,
        name=_record.title(record),
        group=record["attack"],
        tags=[record["status"]],
        config=_record.config(record),
        settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
    )
    try:
        run.log(_record.metrics(record))
    finally:
        run.finish(exit_code=0 if record["status"] == "ok" else 1)
