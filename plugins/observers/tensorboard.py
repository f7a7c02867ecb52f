"""TensorBoard: one run per record below the folder that BENCHKIT_TENSORBOARD names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import benchkit

from . import _record

VARIABLE = "BENCHKIT_TENSORBOARD"


@benchkit.hookimpl
def benchkit_cell_finished(record: dict[str, Any]) -> None:
    """Write the record's metrics as scalars and its settings as hyperparameters, into a separate event file."""
    root = _record.asked(VARIABLE)
    if not root:
        return
    tensorboard = _record.library("torch.utils.tensorboard", "tensorboard", VARIABLE)
    summary = _record.library("torch.utils.tensorboard.summary", "tensorboard", VARIABLE)
    found = _record.metrics(record)
    with tensorboard.SummaryWriter(str(Path(root).expanduser() / _record.folder(record))) as writer:
        # Not writer.add_hparams, which makes a second run, in a folder named after the time.
        for part in summary.hparams(_record.config(record), found):
            writer.file_writer.add_summary(part)
        for name, value in found.items():
            writer.add_scalar(name, value)
