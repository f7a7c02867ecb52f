"""One execution from start to end: check the models, decode the data, check the images, walk the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError, Ending, SpecError
from benchkit.execute.executors.base import Executor, Outcome
from benchkit.execute.executors.launch import cores
from benchkit.execute.executors.local import LocalExecutor
from benchkit.execute.executors.packing import ELASTIC, Packing
from benchkit.execute.failures import failed_costs
from benchkit.execute.interrupts import Interrupts
from benchkit.execute.progress.history import History
from benchkit.execute.progress.progress import Progress
from benchkit.execute.progress.view import make_view
from benchkit.execute.suitability import drop_unsuitable, say_notes
from benchkit.execute.walk import ProgressView, Walk
from benchkit.params.component import Component
from benchkit.plan.steps import Plan, Step
from benchkit.spec.registry import KINDS
from benchkit.spec.spec import component
from benchkit.stages.describe import describe, moment
from benchkit.store.store import Record
from benchkit.text import describe_error, warn

if TYPE_CHECKING:
    from benchkit.execute.request import ExecutionOptions, Request

TRAINING = ("train", "shadows", "population")
"""The stages that build a network."""


@dataclass(frozen=True)
class _Running:
    """What the walks of one run share."""

    executor: Executor
    view: ProgressView
    means: ExecutionOptions
    history: History
    stopped: Callable[[], bool]


def execute(asked: Request, means: ExecutionOptions) -> tuple[Request, Progress]:
    """Run what is missing of a request; return it without what the images ruled out, and what was done.

    Raises:
        BenchkitError: when the request cannot be run; cells that fail are records instead.
        KeyboardInterrupt: after Ctrl-C, when the steps in flight have ended, or at once after a second one.
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
        with Interrupts() as interrupts, make_view(progress, lambda: executor.slots, *_shown(means)) as view:
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


def _shown(means: ExecutionOptions) -> tuple[bool, bool]:
    """Return whether to show nothing, and whether a screen may be drawn: not over what a debugger asks."""
    return means.quiet, means.executor != "inline"


def _crew(executor: Executor) -> str:
    """Return how many workers there are at first, and how many threads each has."""
    counts = ((executor.slots, "worker"), (executor.threads, "thread"))
    return " x ".join(f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counts)


def _executor(asked: Request, means: ExecutionOptions) -> Executor:
    """Return what runs the steps."""
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
    """Return one device name per worker: a CPU has as many as cores, a GPU one, unless told otherwise.

    Raises:
        SpecError: when a CPU is asked for slots, or a cluster to find out how many a GPU holds.
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
    """Return what adds workers as memory allows: once a step that trains a network has shown what it needs."""
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
    texts = {(kind, str(job[kind[:-1]])): None for job in jobs for kind in KINDS if kind[:-1] in job}
    return [component(text, kind, asked.registry) for kind, text in texts]


def check_models(asked: Request) -> None:
    """Refuse unknown models before anything runs.

    Raises:
        SpecError: naming the first that nobody knows.
    """
    missing = asked.plan.missing(asked.store).values()
    names = dict.fromkeys(step.job["model"] for step in missing if step.stage in TRAINING)
    if names:
        from benchkit.models.create import require_usable

        for name in names:
            require_usable(name, asked.registry.manager.hook.benchkit_model)


def _load_data(asked: Request, running: _Running) -> None:
    """Decode the datasets first, so that a missing one stops the run at once."""
    steps = {step.job["dataset"]: step for step in asked.plan.of("data")}
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
        attack = component(step.job["attack"], "attacks", asked.registry)
        defense = component(step.job["defense"], "defenses", asked.registry)
        record = describe(step.job, attack, defense)
        when = moment(step.job, asked.store.record_path(step.job))
        return record | {
            "status": status,
            "error": outcome.error,
            "traceback": outcome.trace or None,
            "costs": failed_costs(step.job, asked.store, asked.plan.steps[outcome.key].stage, outcome),
            "finished": when,
        }

    return make


def _observers(asked: Request) -> Callable[[Record], None]:
    """Return what tells every observer plugin of a finished cell; an observer's exception is reported, no more."""

    def tell(record: Record) -> None:
        for observer in asked.registry.manager.hook.benchkit_cell_finished.get_hookimpls():
            try:
                observer.function(record=record)
            except (KeyboardInterrupt, Ending):
                raise
            except BaseException as error:
                warn(f"warning: {observer.plugin_name} raised {describe_error(error)}")

    return tell
