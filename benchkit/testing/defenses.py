"""The checks of defenses of each kind, in a world whose victim has a backdoor."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.data import Split
from benchkit.contracts.kinds import (
    InputDetector,
    InputPurifier,
    ModelDetector,
    ModelRepair,
    RobustTraining,
    TrainingFilter,
)
from benchkit.contracts.scene import Scene
from benchkit.contracts.verdicts import verdict
from benchkit.errors import ContractError
from benchkit.records.metrics import NEEDED
from benchkit.testing.check import Check, ConformanceError, Subject, require
from benchkit.testing.common import (
    alike,
    check_any_batch,
    check_refusal,
    class_of,
    contract_checks,
    far,
    home,
    require_untouched,
    same,
    unchanged,
)
from benchkit.testing.cutoffs import check_cutoff, cutoff
from benchkit.testing.learning import (
    check_fit,
    check_fit_leaves_what_it_is_given,
    check_fit_parameters,
    check_fit_repeats,
    check_prepare,
    check_prepare_repeats,
    first_prepared,
)
from benchkit.testing.metrics import check_metrics
from benchkit.testing.pretended import gpu
from benchkit.testing.repeated import FIRST, repeats, under
from benchkit.testing.world import CLASSES, World, copied, fitted, worlds_for

if TYPE_CHECKING:
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.verdict import Verdict
    from benchkit.models.classifier import Classifier

Act = Callable[[Any, Split, Scene], Any]
"""``act(defense, given, scene)`` runs the method of the kind on images (with labels if the kind sees them)."""

ACTS: dict[type[Defense], tuple[str, Act]] = {
    InputDetector: ("score", lambda defense, given, scene: defense.score(given.images, scene)),
    InputPurifier: ("purify", lambda defense, given, scene: defense.purify(given.images, scene)),
    TrainingFilter: ("suspicion", lambda defense, given, scene: defense.suspicion(given, scene)),
    RobustTraining: ("train", lambda defense, given, scene: defense.train(given, scene)),
    ModelRepair: ("repair", lambda defense, given, scene: defense.repair(scene)),
    ModelDetector: ("score", lambda defense, given, scene: defense.score(scene)),
}


def _act(defense: Defense) -> tuple[str, Act]:
    """Return the name of the method of the defense's kind, and how to call it."""
    for kind, act in ACTS.items():
        if isinstance(defense, kind):
            return f"{defense.name}.{act[0]}", act[1]
    raise ContractError(f"{defense.name} derives from none of the kinds: {', '.join(k.__name__ for k in ACTS)}")


def _given(defense: Defense, where: World) -> Split:
    """Return the input of this kind: the poisoned training set, or inputs to a deployed model."""
    if isinstance(defense, TrainingFilter | RobustTraining):
        return copied(where.poisoned.data)
    return Split(where.inputs, torch.zeros(len(where.inputs), dtype=torch.int64))


def _checked(defense: Defense, returned: Any, given: Split, where: World) -> Verdict:
    """Check the result of the method; return it as a verdict whose score is a tensor, to compare runs."""
    _, method = _act(defense)[0].rsplit(".", 1)
    said = verdict(defense, method, returned, where.drawing())
    return dataclasses.replace(said, score=_scored(defense, method, said.score, given, where))


def _scored(defense: Defense, method: str, result: Any, given: Split, where: World) -> Tensor:
    if isinstance(result, torch.nn.Module) or isinstance(defense, RobustTraining | ModelRepair):
        return _logits(checks.model(defense.name, method, result), defense, where)
    if isinstance(defense, InputPurifier):
        return checks.images(defense.name, method, given.images, result)
    if isinstance(defense, ModelDetector):
        return torch.tensor([checks.number(defense.name, method, result)])
    return checks.scores(defense.name, method, result, len(given))


def _logits(model: Classifier, defense: Defense, where: World) -> Tensor:
    logits = model.logits(where.inputs)
    works = logits.shape == (len(where.inputs), CLASSES) and bool(logits.isfinite().all())
    require(works, f"{defense.name} returned a model whose logits are not finite (N, {CLASSES})")
    return logits


def _run(defense: Defense, where: World) -> Verdict:
    return _checked(defense, _acted(defense, where), _given(defense, where), where)


def _acted(defense: Defense, where: World) -> Any:
    return _act(defense)[1](defense, _given(defense, where), where.defending(defense))


@functools.lru_cache(maxsize=64)
def _first(defense: Defense, where: World) -> Any:
    """Return what the method of the kind returns at its first run in a world, which all checks share."""
    return under(FIRST, lambda: _acted(defense, where))


def _said(defense: Defense, where: World) -> Verdict:
    """Return the checked result of the first run."""
    return _checked(defense, _first(defense, where), _given(defense, where), where)


def _equal(one: Verdict, other: Verdict) -> bool:
    """Return whether two checked verdicts say the same."""
    numbers = one.metrics == other.metrics and one.classes == other.classes
    return numbers and alike(one.score, other.score) and same(one.images, other.images)


def check_kind(cls: type[Defense]) -> None:
    """A defense derives from exactly one kind, and declares only known needs."""
    kinds = [kind.__name__ for kind in ACTS if issubclass(cls, kind)]
    names = ", ".join(kind.__name__ for kind in ACTS)
    require(len(kinds) == 1, f"{cls.__qualname__} must derive from exactly one of {names}; it has {kinds}")
    fine = isinstance(cls.needs, frozenset) and cls.needs <= {*NEEDED}
    require(fine, f"{cls.__qualname__}.needs is {cls.needs!r}: use a frozenset of some of {', '.join(NEEDED)}")


def check_declared_needs(defense: Defense) -> None:
    """``prepare``, ``fit`` and the method of the kind use only what the defense declares."""
    where = home(defense)
    try:
        defense.asks_train()
        first_prepared(defense, where)
        _first(defense, where)
    except ContractError as error:
        raise ConformanceError(f"{defense.name} uses what it may not have: {error}") from error


def check_result(defense: Defense) -> None:
    """The method of the kind returns what its contract says: type, shape, dtype, range, and sound verdicts."""
    _said(defense, home(defense))


def check_result_repeats(defense: Defense) -> None:
    """The same seed gives the same result."""
    where = home(defense)
    require(
        repeats(lambda: _run(defense, where), _equal, _said(defense, where)),
        f"{_act(defense)[0]} differs between two runs with one seed: draw only from scene.rng",
    )


def check_leaves_what_it_is_given(defense: Defense) -> None:
    """The defense changes neither its input images, nor the clean hold-out, nor what ``fit`` returned."""
    where = home(defense)
    given, scene = _given(defense, where), where.defending(defense)
    before = copied(given)
    _act(defense)[1](defense, given, scene)
    name = _act(defense)[0]
    require(unchanged(given, before), f"{name} writes into the images it is given: clone them")
    require_untouched(name, scene, where, model=not isinstance(defense, ModelRepair))
    kept = not defense.has_victim or same(scene.fitted, fitted(defense, where))
    require(kept, f"{name} writes into scene.fitted: clone it")


def check_batch_sizes(defense: Defense) -> None:
    """One image, an odd number and many are scored or cleaned, each whatever the others are."""
    if not isinstance(defense, InputDetector | InputPurifier):
        return
    where, (name, act) = home(defense), _act(defense)

    def run(images: Tensor, scene: Scene) -> Tensor:
        given = Split(images, torch.zeros(len(images), dtype=torch.int64))
        scores: Tensor = _checked(defense, act(defense, given, scene), given, where).score
        return scores

    check_any_batch(name, run, where, lambda: where.defending(defense))


def check_keeps_enough(defense: Defense) -> None:
    """A training filter keeps images of at least two classes."""
    if not isinstance(defense, TrainingFilter):
        return
    where = home(defense)
    kept = set(where.poisoned.data.labels[_said(defense, where).score <= 0].tolist())
    sentence = f"{defense.name}.suspicion drops so much that {len(kept)} classes remain: above 0 = drop"
    require(len(kept) > 1, sentence)


def check_every_shape(defense: Defense) -> None:
    """A defense handles grey and colour images of each size that ``check`` accepts (three sizes are tried)."""
    for where in worlds_for(defense)[:3]:
        _said(defense, where)


def check_other_device(defense: Defense) -> None:
    """Every method works where the images are on a GPU; without one, on one that is pretended."""
    with gpu():
        where = far(defense)
        _run(defense, where)
        if isinstance(defense, InputDetector | ModelDetector):
            cutoff(defense, where)


CHECKS = (
    check_refusal,
    check_metrics,
    check_prepare,
    check_prepare_repeats,
    check_declared_needs,
    check_fit,
    check_fit_repeats,
    check_fit_parameters,
    check_fit_leaves_what_it_is_given,
    check_result,
    check_result_repeats,
    check_leaves_what_it_is_given,
    check_batch_sizes,
    check_cutoff,
    check_keeps_enough,
    check_every_shape,
    check_other_device,
)


def defense_checks(subject: Subject) -> list[Check]:
    """Return the checks of a defense class (with default parameters) or of one component."""
    return [Check(subject, check_kind, class_of), *contract_checks(subject, CHECKS)]
