"""The trojan triggers of Liu et al. (NDSS 2018): a mask whose pixels are optimised to activate neurons."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.masks import box_of
from benchkit_plugins._shared.neurons import REACHED, answering, descending, heaviest, reached, short_of
from torch import Tensor

import benchkit
from benchkit.ops.images import to_images


@dataclass(frozen=True)
class Trojan(benchkit.Attack):
    """The base of ``troj-sq`` and ``troj-wm``, which differ in their mask.

    Liu et al. 2018, section 4.1 and algorithm 1: the neurons of the last hidden layer with the largest sum of absolute
    outgoing weights are chosen, and the masked pixels of a black image are optimised until their activations are
    ``target_value``. Zeng et al. (ICCV 2021) add the result to the image and clip (``mode=add``).
    """

    paper = "Liu et al., NDSS 2018, Trojaning Attack on Neural Networks"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    adds_only: ClassVar[bool] = True
    metrics = (REACHED,)

    mode: str = benchkit.param(
        "add", "add the trigger and clip, or replace pixels", choices=("add", "replace"), used_by_prepare=False
    )
    source: str = benchkit.param(
        "optimised",
        "pixels optimised on the clean model, or random primaries",
        choices=("optimised", "random"),
    )
    neurons: int = benchkit.param(1, "neurons to excite (TrojanZoo and BackdoorBench: 2)", ge=1)
    target_value: float = benchkit.param(100.0, "activation the neurons are driven to")
    lr: float = benchkit.param(0.1, "learning rate of Adam", gt=0)
    steps: int = benchkit.param(
        300, "optimiser steps (the original takes 970 gradient steps, TrojanZoo 1000 of Adam)", ge=1
    )

    @abstractmethod
    def mask(self, height: int, width: int) -> Tensor:
        """Return the opacity of the trigger, float32 (height, width) in [0, 1]."""

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Craft the trigger: ``pattern``, uint8 (C, h, w), within the smallest box that contains the mask.

        If it was optimised, also ``reached``, float64 (), the share of the way to the goal.
        """
        mask = self.mask(*scene.shape[1:]).to(scene.device)
        inside = mask[box_of(mask)]
        shape = (scene.shape[0], *inside.shape)
        if self.source == "random":
            values = torch.randint(2, shape, generator=scene.rng).to(scene.device)
            return {"pattern": to_images(255 * values * inside)}
        values, left = self._optimise(torch.randn(shape, generator=scene.rng).to(scene.device), mask, scene)
        return {"pattern": to_images(255 * values * inside), "reached": reached(left)}

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return a clause if the neurons stay far from ``target_value``."""
        return short_of(reported)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the trigger: uint8 (N, C, H, W) -> the same."""
        pattern = scene.prepared["pattern"].to(images.device)
        mask = self.mask(*images.shape[-2:]).to(images.device)
        rows, columns = box_of(mask)
        kept = 1.0 if self.mode == "add" else 1 - mask[rows, columns]
        stamped = images.clone()
        stamped[..., rows, columns] = to_images(kept * images[..., rows, columns] + pattern)
        return stamped

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images that are too small for the trigger."""
        if not self.mask(*shape[1:]).any():
            return f"images of {shape[1]}x{shape[2]} pixels are too small for this trigger: use 4x4 or larger"
        return super().check(shape, classes)

    def _optimise(self, latent: Tensor, mask: Tensor, scene: benchkit.Scene) -> tuple[Tensor, Tensor]:
        """Return values in [0, 1], (C, h, w), that bring the chosen neurons closest to the target value.

        Also return the remaining squared distance, relative to that at the start.
        """
        rows, columns = box_of(mask)
        borders = (columns.start, scene.shape[2] - columns.stop, rows.start, scene.shape[1] - rows.stop)

        def on_black(latent: Tensor) -> Tensor:
            return F.pad(latent.sigmoid() * mask[rows, columns], borders)[None]

        with answering(scene.model) as answers:
            latent.requires_grad_()
            chosen = heaviest(scene.model, answers(on_black(latent))[0], latent, self.neurons)

            def miss(latent: Tensor) -> Tensor:
                return (answers(on_black(latent))[:, chosen] - self.target_value).square().sum()

            first = miss(latent).detach().clamp(min=1e-12)
            for _ in descending(latent, miss, steps=self.steps, lr=self.lr):
                pass
            return latent.sigmoid(), miss(latent) / first
