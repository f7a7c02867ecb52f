"""Options -> a planned, executed request: the one way that ``benchkit run``, ``benchkit plan`` and Python go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchkit.errors import DeviceError, SpecError
from benchkit.execute.request import ExecutionOptions, Request
from benchkit.execute.resolve import request

if TYPE_CHECKING:
    from benchkit.execute.progress.progress import Progress
    from benchkit.records.record import Record


def planned(options: Mapping[str, Any], means: ExecutionOptions | None = None) -> Request:
    """Return the planned request of these options, which can be executed as far as can be told before the data is read.

    Args:
        options: by the names of the command line, ``attacks`` to ``plugins``; see ``resolve.request``.
        means: what it is to be executed with; None: it is not.

    Raises:
        SpecError, DataError, DeviceError, NothingToRun: each in one sentence.
    """
    from benchkit.execute.session import check_models, devices

    means = means or ExecutionOptions()
    _require_devices(str(options["device"]), means)
    asked = request({**options, "elsewhere": means.executor == "ray", "threads": means.threads})
    devices(asked, means)
    check_models(asked)
    return asked


def run(
    options: Mapping[str, Any], means: ExecutionOptions, begin: Callable[[Request], None]
) -> tuple[Request, Progress]:
    """Execute what options ask for; return the request without what the images ruled out, and what was done.

    Args:
        begin: is told what is about to be executed.

    Raises:
        BenchkitError: as ``planned`` and ``session.execute`` do.
        KeyboardInterrupt: after Ctrl-C, when the steps in flight have ended, or at once after a second one.
    """
    from benchkit.execute.session import execute

    asked = planned(options, means)
    asked.store.open()
    begin(asked)
    return execute(asked, means)


def records_of(asked: Request) -> list[Record]:
    """Return the record of each of a request's cells that has one, failed ones included."""
    found = [asked.store.record(asked.plan.steps[key].job.cell()) for key in asked.plan.cells]
    return [record for record in found if record is not None]


def _require_devices(device: str, means: ExecutionOptions) -> None:
    """Refuse devices that an executor cannot choose.

    Raises:
        SpecError, DeviceError: each in one sentence.
    """
    if means.ray_address and means.executor == "ray" and ":" in device:
        raise DeviceError(f"the cluster at {means.ray_address} chooses among its GPUs: write --device cuda")
    if means.executor == "inline" and "," in device:
        raise SpecError(f"--executor inline runs one step at a time: name one device, not '{device}'")
