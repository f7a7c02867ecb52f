"""What a foreign model expects of its inputs: normalisation and size, from its user or from timm's data config."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.errors import SpecError
from benchkit.models.networks import NETS
from benchkit.params.component import fields_of
from benchkit.params.grammar import pieces
from benchkit.scan.clean import sized_dataset

if TYPE_CHECKING:
    from benchkit.models.create import ModelHook
    from benchkit.spec.registry import Registry

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Inputs:
    """What a model was trained with.

    Attributes:
        mean, std: one number per channel, of pixels in [0, 1].
        source: where they are from, in words.
        given: whether the user named them.
        side: of the square images; 0 if unknown.
    """

    mean: Numbers
    std: Numbers
    source: str
    given: bool = False
    side: int = 0

    def said(self) -> str:
        """Return the numbers in words."""
        shown = (", ".join(f"{one:.4g}" for one in numbers) for numbers in (self.mean, self.std))
        return "mean {}, std {}".format(*shown)


def given_inputs(mean: str | None, std: str | None) -> Inputs | None:
    """Return the normalisation in the texts of --mean and --std; None if there is neither.

    Raises:
        SpecError: if one of them is missing, or they are not as many numbers that can be used.
    """
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise SpecError("--mean and --std belong together: give both, or neither")
    found = Inputs(_numbers("--mean", mean), _numbers("--std", std), "--mean and --std", given=True)
    if len(found.mean) != len(found.std):
        raise SpecError(f"--mean has {len(found.mean)} numbers and --std {len(found.std)}: give one for each channel")
    if min(found.std) <= 0:
        raise SpecError(f"--std must be above 0, got {std}")
    if max(abs(one) for one in (*found.mean, *found.std)) > 1:
        raise SpecError("--mean and --std are of pixels from 0 to 1: divide those of pixels from 0 to 255 by 255")
    return found


def _numbers(option: str, text: str) -> Numbers:
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(map(math.isfinite, found)):
        raise SpecError(f"{option} must be numbers such as 0.485,0.456,0.406, got '{text}'")
    return found


def timm_inputs(name: str, hook: ModelHook) -> Inputs | None:
    """Return timm's data config of a model; None for a model of benchkit, of a plugin or without such a config."""
    from benchkit.models.create import TRIED

    if name in NETS or hook(name=name, **TRIED) is not None:
        return None
    import timm

    if not timm.is_model(name) or not (config := timm.get_pretrained_cfg(name)):
        return None
    side = config.input_size[-1] if config.input_size else 0
    return Inputs(tuple(config.mean), tuple(config.std), f"timm's data config of {name}", side=side)


def sized_clean(clean: str, size: str | None, model: str, registry: Registry) -> tuple[str, str]:
    """Return the clean dataset at the size that a model expects, and a sentence if timm's data config says it.

    Args:
        clean: the dataset, as on the command line.
        size: the value of --size, or None.

    Raises:
        SpecError: if the size is not square, or the dataset has no such parameter.
    """
    ((name, given), *more) = pieces(clean)
    found = timm_inputs(model, registry.manager.hook.benchkit_model)
    has_size = not more and "size" in fields_of(registry.get("datasets", name))
    if size or not (found and found.side and has_size) or "size" in given:
        return sized_dataset(clean, size, registry), ""
    said = f"images are {found.side}x{found.side}, by {found.source}: --size N changes that"
    return sized_dataset(clean, str(found.side), registry), said
