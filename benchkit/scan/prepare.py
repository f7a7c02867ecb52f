"""Shared by scans: a small plan that decodes the clean images and prepares detectors, and a workspace to use them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError, SpecError, StoreError
from benchkit.plan.job import DATA, FIT, PREPARE, Ref
from benchkit.plan.planner import Planner
from benchkit.plan.steps import Plan
from benchkit.store.files import write_atomic
from benchkit.store.store import Damaged

if TYPE_CHECKING:
    from benchkit.contracts.dataset import Dataset
    from benchkit.contracts.defense import Defense
    from benchkit.execute.request import ExecutionOptions, Request
    from benchkit.spec.spec import Spec
    from benchkit.stages.workspace import Task, Workspace

UNPRINTABLE = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def plan_detectors(spec: Spec, fingerprints: Mapping[Dataset, str], model_code: Callable[[str], str]) -> Plan:
    """Plan only what detectors need: the first target is the clean dataset, followed by one per defense.

    A target is the key of the last step that the defense has of its own: ``fit``, or else ``prepare``, or that of the
    dataset if it has none. The ``prepare`` steps behind targets follow. The keys are those of ``benchkit run``, so both
    commands share stored results.

    Raises:
        SpecError: if the spec has more than one dataset or model.
    """
    for noun, named in (("clean dataset", spec.datasets), ("model", spec.models)):
        if len(named) != 1:
            raise SpecError(f"a scan takes one {noun}, got {len(named)}: name one")
    made = Plan()
    (dataset,), (model,), (seed,) = spec.datasets, spec.models, spec.seeds
    planner = Planner(made, spec, dataset, fingerprints, model, functools.cache(model_code), seed)
    data = planner.data()
    (attack,) = spec.attacks  # none: only a detector without a model has a step of its own to learn in, and no victim
    own = [[*planner.prepare(one).values(), *planner.fit(attack, 0.0, one).values()] for one in spec.defenses]
    targets = [refs[-1] if refs else data for refs in own]
    made.cells = [key for _, key in (data, *targets, *(refs[0] for refs in own if len(refs) > 1))]
    return made


def require_kind(defenses: tuple[object, ...], kind: type[Any], does: str, such: str = "") -> tuple[Any, ...]:
    """Return the defenses if there is at least one and all of them are of a kind.

    Args:
        kind: the base of the kind.
        does: what it does, such as ``score models``.
        such: an example, such as ``, such as neural-cleanse``.

    Raises:
        SpecError: names the first of another kind.
    """
    for one in defenses:
        if not isinstance(one, kind):
            its = getattr(one, "kind", "") or "no detector"
            raise SpecError(f"{one} does not {does} (it is: {its}): use {kind.kind}s{such}")
    if not defenses:
        raise SpecError(f"no {kind.kind} was asked for: name one{such}{',' if such else ''} with --defense")
    return defenses


def prepare(asked: Request, means: ExecutionOptions) -> None:
    """Run the steps of the plan that are missing or damaged."""
    asked.store.open()
    for key in dict.fromkeys(asked.plan.cells):
        stage = asked.plan.steps[key].stage
        if asked.store.has(stage, key):
            with contextlib.suppress(Damaged):  # this deletes the damaged artifact
                asked.store.load(stage, key)
    if asked.plan.missing(asked.store):
        from benchkit.execute.session import check_models, execute

        check_models(asked)
        execute(asked, means)
    else:
        from benchkit.execute.suitability import say_notes

        say_notes(asked)


def task_of(asked: Request, workspace: Workspace, number: int) -> Task | None:
    """Return the step in which the defense of this number is used, or None where its preparation failed."""
    step = asked.plan.steps[asked.plan.cells[1 + number]]
    if not asked.store.has(step.stage, step.key):
        return None
    roles = {"data": DATA, "prepare": PREPARE, "fit": FIT}
    found = {**step.parents, roles[step.stage]: Ref(step.stage, step.key)}
    parents = {role: found[role] for role in roles.values() if role in found}
    used = replace(step.job, stage="scan", defense=str(asked.spec.defenses[number]), parents=parents)
    return workspace.task(used)


def failed(defense: Defense) -> BenchkitError:
    """Return the error for a defense whose preparation failed; the reason was already reported."""
    return BenchkitError(f"{defense} could not be prepared (see above): nothing was scanned with it")


def workspace_of(asked: Request) -> Workspace:
    """Return the workspace of this process."""
    import torch

    from benchkit.execute.executors.scratch import scratch
    from benchkit.stages.workspace import Workspace

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(scratch()))  # torch always creates this folder

    return Workspace(asked.store, asked.registry, torch.device(asked.devices[0]), asked.source)


def printable(text: str) -> str:
    """Return text that is safe in a terminal and on one line: other characters become backslash escapes."""
    return "".join(UNPRINTABLE.get(one) or (one if one.isprintable() else _escaped(one)) for one in text)


def _escaped(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, safe to print, or its type if it has no text."""
    lines = str(error).strip().splitlines()
    return printable(lines[0][:200]) if lines else type(error).__name__


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating-system error on an output file into one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {printable(str(path))}: {error.strerror or error}") from error


def write(path: Path, raw: bytes) -> None:
    """Replace a file in one step.

    Raises:
        StoreError: in one sentence.
    """
    with writing(path):
        write_atomic(path, raw)


def require_outputs(out: Path | None, sheet: Path | None) -> None:
    """Before any work, refuse output files that could not be written, and a sheet that is no PNG.

    Raises:
        SpecError, StoreError: in one sentence.
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise SpecError(f"--sheet writes PNG: give a file that ends in .png, not {sheet.name!a}")
    for file in (out, sheet):
        require_writable(file)


def require_writable(path: Path | None) -> None:
    """Before any work, refuse an output file whose folder does not exist.

    Raises:
        StoreError: in one sentence.
    """
    if path is not None and not path.parent.is_dir():
        raise StoreError(f"cannot write {printable(str(path))}: there is no folder {printable(str(path.parent))}")
    if path is not None and path.exists() and not path.is_file():
        raise StoreError(f"cannot write {printable(str(path))}: it is not a regular file")
