"""The checks of verdicts: whatever a defense returns becomes a whole one, or one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchkit.contracts.checks import measured, scores
from benchkit.contracts.verdict import MOST_IMAGES, Verdict
from benchkit.errors import ContractError

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.defense import Defense
    from benchkit.contracts.scene import Scene

IMAGE_NAME = re.compile(r"[a-z0-9][a-z0-9 -]{0,39}")


def verdict(defense: Defense, what: str, returned: Any, scene: Scene) -> Verdict:
    """Return the result of a defense as a verdict with checked metrics, images (uint8, on the CPU) and classes.

    ``score`` is left to the checks of its kind.

    Args:
        defense: whose result it is.
        what: the method that returned it.
        returned: a verdict, or a plain value, which is one without more.
        scene: that of the call.

    Raises:
        ContractError: in one sentence.
    """
    found = returned if isinstance(returned, Verdict) else Verdict(returned)
    where = f"{defense.name}.{what}"
    if found.certificate is not None and not (what == "train" and callable(found.certificate)):
        raise ContractError(f"{where}: a certificate is a function, and that of robust training: leave it out")
    return replace(
        found,
        metrics=_metrics(defense, what, found.metrics),
        images=_images(where, found.images, scene.shape),
        classes=None if found.classes is None else _classes(where, found.classes, scene.classes),
    )


def radii(defense: Defense, certificate: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return how many training images may be changed, float64 (N,) on the CPU, by test image. Raises ContractError."""
    found = scores(defense.name, "certificate", certificate(images.clone()), len(images))
    if bool((found < -1).any()) or not found.equal(found.round()):
        raise ContractError(f"{defense.name}.certificate must return numbers of images, or -1 where it abstains")
    return found


def _metrics(defense: Defense, what: str, given: Any) -> dict[str, float]:
    where = f"{defense.name}.{what}"
    if not isinstance(given, Mapping):
        raise ContractError(f"{where}: the metrics of a Verdict must be a dict, got {type(given).__name__}")
    declared = [one.name for one in defense.metrics]
    for name in given:
        if name not in declared:
            raise ContractError(f"{where} gives the metric {name!r:.60}, which {defense.name}.metrics does not declare")
    for name in declared:
        if name not in given:
            raise ContractError(f"{where} gives no '{name}', which it declares: return a benchkit.Verdict with it")
    return {one.name: measured(defense.name, what, one, given[one.name]) for one in defense.metrics}


def _images(where: str, given: Any, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    if not isinstance(given, Mapping):
        raise ContractError(f"{where}: the images of a Verdict must be a dict, got {type(given).__name__}")
    if len(given) > MOST_IMAGES:
        raise ContractError(f"{where} gives {len(given)} images: a Verdict has {MOST_IMAGES} at most")
    return {name: _image(where, name, one, shape) for name, one in given.items()}


def _image(where: str, name: Any, given: Any, shape: tuple[int, int, int]) -> Tensor:
    """Return one checked image, uint8 (C or 1, H, W), on the CPU."""
    import torch

    if not (isinstance(name, str) and IMAGE_NAME.fullmatch(name)):
        raise ContractError(
            f"{where} names an image {name!r:.60}: use lower-case letters, digits, blanks and hyphens, 40 at most"
        )
    if not isinstance(given, torch.Tensor) or tuple(given.shape) not in {shape, (1, *shape[1:])}:
        got = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
        raise ContractError(f"{where}: its image '{name}' must be a tensor of shape {shape}, got {got}")
    image = given.detach().cpu()
    if image.dtype == torch.uint8:
        return image.clone()
    inside = image.is_floating_point() and bool(((image >= 0) & (image <= 1)).all())
    if not inside:
        raise ContractError(f"{where}: its image '{name}' must be uint8, or float in [0, 1] without NaN")
    return (255 * image.double()).round().to(torch.uint8)


def _classes(where: str, given: Any, classes: int) -> tuple[int, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ContractError(f"{where}: the classes of a Verdict must be a list of int, got {type(given).__name__}")
    for one in given:
        if type(one) is not int or not 0 <= one < classes:
            raise ContractError(f"{where} suspects class {one!r:.60}: classes are int, 0 to {classes - 1}")
    return tuple(sorted(set(given)))
