"""MLflow: one run per record in the experiment "benchkit" of the tracking server that BENCHKIT_MLFLOW names."""

from __future__ import annotations

import time
from typing import Any

import benchkit

from . import _record

VARIABLE = "BENCHKIT_MLFLOW"
EXPERIMENT = "benchkit"


@benchkit.hookimpl
def benchkit_cell_finished(record: dict[str, Any]) -> None:
    """Log the record's metrics, and its settings as parameters."""
    uri = _record.asked(VARIABLE)
    if not uri:
        return
    entities = _record.library("mlflow.entities", "mlflow", VARIABLE)
    client = _record.library("mlflow.tracking", "mlflow", VARIABLE).MlflowClient(tracking_uri=uri)
    run = client.create_run(_experiment(client), run_name=_record.title(record)).info.run_id
    now = int(1000 * time.time())
    client.log_batch(
        run,
        metrics=[entities.Metric(name, value, now, 0) for name, value in _record.metrics(record).items()],
        params=[entities.Param(name, str(value)[:500]) for name, value in _record.config(record).items()],
    )
    client.set_terminated(run, "FINISHED" if record["status"] == "ok" else "FAILED")


def _experiment(client: Any) -> str:
    """Return the experiment's id; the first record creates the experiment."""
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT))
