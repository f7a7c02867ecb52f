"""One execution from start to end: check the models, decode the data, check the images, walk the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError, Ending, SpecError
from benchkit.execute.executors.base import Executor, Outcome
from benchkit.execute.executors.interrupts import Interrupts
from benchkit.execute.executors.launch import cores
from benchkit.execute.executors.local import LocalExecutor
from benchkit.execute.executors.packing import ELASTIC, Packing
from benchkit.execute.failures import failed_costs
from benchkit.execute.progress.history import History
from benchkit.execute.progress.progress import Progress
from benchkit.execute.progress.view import ProgressView, make_view
from benchkit.execute.suitability import drop_unsuitable, say_notes
from benchkit.execute.walk import Walk
from benchkit.params.component import Component
from benchkit.plan.steps import Plan, Step
from benchkit.records.record import Record
from benchkit.spec.registry import KINDS
from benchkit.spec.spec import component
from benchkit.stages.describe import describe, moment
from benchkit.text import describe_error, warn

if TYPE_CHECKING:
    from benchkit.execute.request import ExecutionOptions, Request

TRAINING = ("train", "shadows", "population")
"""The stages that train networks."""


@dataclass(frozen=True)
class _Running:
    """The state shared by the walks of one run."""

    executor: Executor
    view: ProgressView
    means: ExecutionOptions
    history: History
    stopped: Callable[[], bool]


def execute(asked: Request, means: ExecutionOptions) -> tuple[Request, Progress]:
    """Run the missing steps of a request; return it without cells that do not suit the images, and the progress.

    Raises:
        BenchkitError: if the request cannot be run; failed cells are records instead.
        KeyboardInterrupt: after Ctrl-C, when the running steps have ended, or at once after a second one.
    """
    history = History(asked.store, asked.devices[0])
    progress = Progress(history)
    progress.expect(asked.plan.missing(asked.store))
    if not progress.left:
        say_notes(asked)
        return asked, progress
    executor = _executor(asked, means)
    progress.gpus, progress.crew = executor.gpus, _crew(executor)
    try:
        with Interrupts() as interrupts, make_view(progress, lambda: executor.slots, **_shown(means)) as view:
            running = _Running(executor, view, means, history, interrupts.asked)
            _load_data(asked, running)
            say_notes(asked)
            asked = drop_unsuitable(asked)
            progress.expect(asked.plan.missing(asked.store))
            _walk(asked, asked.plan, running)
    finally:
        executor.close()
        asked.store.sweep()
        history.save()
    return asked, progress


def _shown(means: ExecutionOptions) -> dict[str, bool]:
    """Return whether to show nothing, and whether a screen may be drawn: not over what a debugger asks."""
    return {"quiet": means.quiet, "screen": means.executor != "inline"}


def _crew(executor: Executor) -> str:
    """Return the initial number of workers, and the number of threads of each."""
    counts = ((executor.slots, "worker"), (executor.threads, "thread"))
    return " x ".join(f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counts)


def _executor(asked: Request, means: ExecutionOptions) -> Executor:
    """Return the executor."""
    if means.executor == "ray":
        from benchkit.execute.executors.ray import RayExecutor

        each = means.slots_per_device if isinstance(means.slots_per_device, int) else 1
        limits = (means.jobs, means.timeout, means.threads)
        return RayExecutor(_setup(asked), means.ray_address, asked.devices, each, *limits)
    if means.executor == "inline":
        from benchkit.execute.executors.inline import InlineExecutor

        return InlineExecutor(asked.store, asked.registry, asked.source, asked.devices[0], means.threads)
    return LocalExecutor(devices(asked, means), _setup(asked), means.timeout, _packing(asked, means), means.threads)


def devices(asked: Request, means: ExecutionOptions) -> list[str]:
    """Return one device name per worker: by default one worker per core on a CPU, and one per GPU.

    Raises:
        SpecError: if slots are requested on a CPU, or "auto" slots on a cluster.
    """
    if means.executor == "ray" and means.slots_per_device == "auto":
        raise SpecError("--slots-per-device auto is for GPUs of this machine: with --executor ray give a number")
    if means.executor == "inline":
        return asked.devices[:1]
    there, each = asked.devices, means.slots_per_device
    if there == ["cpu"]:
        if each is not None:
            raise SpecError("--slots-per-device is for GPUs: on the CPU say with --jobs how many workers there are")
        return there * (means.jobs or cores())
    fixed = len(there) * (each if isinstance(each, int) else 1)
    count = means.jobs or fixed if each is None else min(means.jobs or fixed, fixed)
    return [there[index % len(there)] for index in range(count)]


def _packing(asked: Request, means: ExecutionOptions) -> Packing | None:
    """Return the object that adds workers while memory allows, after a training step has shown its memory."""
    if means.slots_per_device != "auto":
        return None
    stages = {step.stage for step in asked.plan.missing(asked.store).values()}
    return Packing(min(cores(), means.jobs or cores()), stages & set(TRAINING) - set(ELASTIC) or {"cell"})


def _setup(asked: Request) -> dict[str, Any]:
    return {
        "results": str(asked.store.root.resolve()),
        "data_root": str(asked.source.root),
        "download": asked.source.download,
        "plugin_files": list(asked.plugin_files),
        "plugins": [asdict(one) for one in asked.registry.behind(_named(asked))],
    }


def _named(asked: Request) -> list[Component]:
    """Return every component that a step of the plan names: workers make these, and no other."""
    jobs = [step.job for step in asked.plan.steps.values()]
    texts = {(kind, text): None for job in jobs for kind in KINDS if (text := getattr(job, kind[:-1]))}
    return [component(text, kind, asked.registry) for kind, text in texts]


def check_models(asked: Request) -> None:
    """Refuse unknown models before anything runs.

    Raises:
        SpecError: names the first unknown model.
    """
    missing = asked.plan.missing(asked.store).values()
    names = dict.fromkeys(step.job.model for step in missing if step.stage in TRAINING)
    if names:
        from benchkit.models.create import require_usable

        for name in names:
            require_usable(name, asked.registry.manager.hook.benchkit_model)


def _load_data(asked: Request, running: _Running) -> None:
    """Decode the datasets first, so that a missing dataset stops the run at once."""
    steps = {step.job.dataset: step for step in asked.plan.of("data")}
    only = Plan(asked.plan.steps, [step.key for step in steps.values()])
    failed = _walk(asked, only, running)
    for key, error in failed.items():
        raise BenchkitError(f"could not {asked.plan.steps[key].label}: {error}")


def _walk(asked: Request, plan: Plan, running: _Running) -> dict[str, str]:
    """Walk a plan; return the steps that failed with their errors."""
    walk = Walk(
        plan,
        asked.store,
        running.executor,
        running.view,
        _failed_record(asked),
        _observers(asked),
        running.means.retries,
        running.history.expected,
        running.stopped,
    )
    walk.run()
    return walk.failed


def _failed_record(asked: Request) -> Callable[[Step, str, Outcome], Record]:
    def make(step: Step, status: str, outcome: Outcome) -> Record:
        attack = component(step.job.attack, "attacks", asked.registry)
        defense = component(step.job.defense, "defenses", asked.registry)
        return replace(
            describe(step.job, attack, defense),
            status=status,
            error=outcome.error,
            traceback=outcome.trace,
            costs=failed_costs(step.job, asked.store, asked.plan.steps[outcome.key].stage, outcome),
            finished=moment(step.job, asked.store.record_path(step.job.cell())),
        )

    return make


def _observers(asked: Request) -> Callable[[dict[str, Any]], None]:
    """Return a function that calls every observer plugin for a finished cell; their exceptions are only reported."""

    def tell(record: dict[str, Any]) -> None:
        for observer in asked.registry.manager.hook.benchkit_cell_finished.get_hookimpls():
            try:
                observer.function(record=record)
            except (KeyboardInterrupt, Ending):
                raise
            except BaseException as error:  # noqa: BLE001 - what an observer raises ends no run
                warn(f"warning: {observer.plugin_name} raised {describe_error(error)}")

    return tell
