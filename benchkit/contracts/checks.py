"""Correctness gates: the harness checks all results of plugins, and a violation fails the cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from benchkit.contracts.data import Poisoned, Split
from benchkit.contracts.trained import Trained
from benchkit.errors import ContractError
from benchkit.text import source_classes_named

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.attack import Attack
    from benchkit.models.classifier import Classifier
    from benchkit.records.metric import Metric

CHANGED = 0.5
"""Minimum share of stamped images in which a trigger must change a pixel."""


def images(name: str, what: str, given: Tensor, returned: Any) -> Tensor:
    """Check the result of a stamp or a purification: same shape, uint8, same device. Raises ContractError."""
    import torch

    if not isinstance(returned, torch.Tensor):
        raise ContractError(f"{name}.{what} must return a tensor, got {type(returned).__name__}")
    if returned.dtype != torch.uint8 or returned.shape != given.shape:
        got = f"{returned.dtype} {tuple(returned.shape)}"
        raise ContractError(f"{name}.{what} must return uint8 {tuple(given.shape)}, got {got}")
    return returned.to(given.device)


def some_to_stamp(attack: Attack, rows: Tensor) -> None:
    """Check that there are test images to stamp, given their indices. Raises ContractError."""
    if len(rows) == 0:
        sources = attack.source_classes()
        why = f"none is of {source_classes_named(sources)}" if sources else "every image already has the wanted label"
        if attack.natural:
            why = "no class but the target's has images with the trigger and images without it"
        raise ContractError(f"{attack.name} has no test image to stamp: {why}")


def changes_pixels(attack: Attack, clean: Tensor, stamped: Tensor) -> None:
    """Check that a stamp changes pixels, or none if the trigger is in the images already. Raises ContractError."""
    changed = (clean != stamped).flatten(1).any(1).double().mean().item()
    if attack.natural and changed:
        raise ContractError(f"{attack.name} says natural = True, but its stamp changes images: return images.clone()")
    if not attack.natural and changed < CHANGED:
        raise ContractError(f"{attack.name}.stamp changed no pixel in {1 - changed:.0%} of the test images")


def repeats(name: str, what: str, first: Tensor, second: Tensor) -> None:
    """Check that two calls with the same seed gave the same result. Raises ContractError."""
    if not first.equal(second.to(first.device)):
        raise ContractError(f"{name}.{what} differs between two runs with one seed: draw only from scene.rng")


def scores(name: str, what: str, returned: Any, count: int) -> Tensor:
    """Check one finite float per image. Raises ContractError."""
    import torch

    if not isinstance(returned, torch.Tensor) or returned.shape != (count,):
        shape = tuple(returned.shape) if isinstance(returned, torch.Tensor) else type(returned).__name__
        raise ContractError(f"{name}.{what} must return one number per image, shape ({count},), got {shape}")
    if not returned.double().isfinite().all():
        raise ContractError(f"{name}.{what} returned NaN or infinity")
    return returned.detach().double().cpu()


def number(name: str, what: str, returned: Any) -> float:
    """Check one finite float. Raises ContractError."""
    import math

    try:
        value = float(returned)
    except (TypeError, ValueError):
        raise ContractError(f"{name}.{what} must return a number, got {type(returned).__name__}") from None
    if not math.isfinite(value):
        raise ContractError(f"{name}.{what} returned {value}")
    return value


def model(name: str, what: str, returned: Any) -> Classifier:
    """Check that a trained or repaired model was returned. Raises ContractError."""
    from benchkit.models.classifier import Classifier

    if not isinstance(returned, Classifier):
        raise ContractError(
            f"{name}.{what} must return a benchkit.Classifier, such as that of scene.fit, got {type(returned).__name__}"
        )
    return returned.eval()


def tensors(name: str, returned: Any, what: str = "prepare") -> dict[str, Tensor]:
    """Check the result of ``prepare`` or ``draw``, or what ``train`` learned: named tensors. Raises ContractError."""
    import torch

    if not isinstance(returned, Mapping) or not all(isinstance(one, torch.Tensor) for one in returned.values()):
        raise ContractError(f"{name}.{what} must return a dict of tensors")
    return dict(returned)


def apart(name: str, what: str, added: Iterable[str], known: Iterable[str]) -> None:
    """Check that names in ``scene.prepared`` are not given twice. Raises ContractError."""
    for twice in sorted(set(added) & set(known)):
        raise ContractError(f"{name}.{what} returns '{twice}', a name that prepare or draw has given: choose another")


def trained(attack: Attack, returned: Any, prepared: Iterable[str]) -> Trained:
    """Check the result of an attack's ``train``: a model, and tensors if and only if it ``learns``.

    Args:
        attack: whose ``train`` it was.
        returned: its result.
        prepared: the names of what was prepared and drawn.

    Raises:
        ContractError: in one sentence.
    """
    name, both = attack.name, isinstance(returned, Trained)
    victim = model(name, "train", returned.model if both else returned)
    learned = tensors(name, returned.learned, "train") if both else {}
    if learned and not attack.learns:
        raise ContractError(f"{name}.train returns tensors that no stamp would get: declare learns = True")
    if attack.learns and not learned:
        raise ContractError(
            f"{name} says learns = True, but its train returns a model alone: return benchkit.Trained(model, tensors)"
        )
    apart(name, "train", learned, prepared)
    return Trained(victim, learned)


def reported(attack: Attack, made: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the metrics that an attack declares and its ``prepare`` made. Raises ContractError."""
    name, there = attack.name, [one for one in attack.metrics if one.name in made]
    for one in there:
        if made[one.name].numel() != 1:
            raise ContractError(f"{name}.prepare must return one number as '{one.name}', since it is in {name}.metrics")
    return {one.name: measured(name, "prepare", one, made[one.name]) for one in there}


def measured(name: str, what: str, one: Metric, value: Any) -> float:
    """Check a value of a metric that a plugin declares: a finite number, and a share if its unit is %."""
    found = number(name, f"{what} ('{one.name}')", value)
    if one.percent and not -1 <= found <= 1:
        raise ContractError(
            f"{name}.{what} gave {found:g} as '{one.name}', whose unit is %: give a share (0.5 for 50 %)"
        )
    return found


def poisoned(attack: Attack, train: Split, returned: Any) -> Poisoned:
    """Check that the masks of poisons and covers match the changed rows. Raises ContractError."""
    name = attack.name
    if not isinstance(returned, Poisoned):
        raise ContractError(f"{name}.poison must return benchkit.Poisoned, got {type(returned).__name__}")
    home = train.images.device
    images(name, "poison", train.images, returned.data.images)
    made = Poisoned(returned.data.to(home), returned.mask.to(home), returned.cover.to(home))
    fault = _mask_fault(made, len(train)) or _row_fault(made, train, natural=attack.natural)
    if fault:
        raise ContractError(f"{name}.poison {fault}")
    return made


def _mask_fault(made: Poisoned, rows: int) -> str | None:
    """Return what is wrong with the masks themselves, or None."""
    import torch

    for what, mask in (("mask", made.mask), ("cover mask", made.cover)):
        if mask.dtype != torch.bool or mask.shape != (rows,):
            return f"must return a bool {what} of shape ({rows},)"
    both = int((made.mask & made.cover).sum())
    return f"names {both} rows as poisons and as covers: draw covers with benchkit.cover_rows" if both else None


def _row_fault(made: Poisoned, train: Split, *, natural: bool) -> str | None:
    """Return how the changed rows differ from those that the masks name, or None."""
    pixels = (made.data.images != train.images).flatten(1).any(1)
    labels = made.data.labels != train.labels
    outside, relabelled = int(((pixels | labels) & ~made.changed).sum()), int((labels & made.cover).sum())
    if outside:
        return f"changed {outside} rows that its mask does not name"
    if relabelled:
        return f"changed the labels of {relabelled} covers: a cover keeps its true label, and other rows are poisons"
    if natural:
        return None if labels[made.mask].all() else "names rows in its mask whose labels it did not change"
    for what, mask in (("mask", made.mask), ("cover mask", made.cover)):
        if mask.any() and pixels[mask].double().mean() < CHANGED:
            return f"names rows in its {what} whose pixels it did not change"
    return None


def covers(name: str, made: Poisoned, rate: float) -> None:
    """Check that there are covers exactly if an attack has a cover rate above 0. Raises ContractError."""
    count = int(made.cover.sum())
    if count and not rate:
        raise ContractError(
            f"{name} made {count} covers at a cover rate of 0: derive it from benchkit.CoverImages, and use cover_rate"
        )
    if rate and not count:
        raise ContractError(
            f"{name} made a cover of none of {len(made.cover)} images at a cover rate of {rate:g}: "
            "raise cover_rate, or set it to 0"
        )


def poisons(attack: Attack, made: Poisoned, rate: float) -> None:
    """Check that an attack poisoned at least one image: otherwise a clean victim is measured. Raises ContractError."""
    if not made.mask.any():
        none = f"poisoned none of {len(made.mask)} images at a poison rate of {rate:g}"
        todo = "none of another class than the target's has the trigger" if attack.natural else "raise --poison-rate"
        raise ContractError(f"{attack.name} {none}: {todo}")
