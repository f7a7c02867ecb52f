"""Hidden Trigger: poisons that look like the target class and feel like triggered images, and show no trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from benchkit_plugins._shared.clean_label import target_rows
from benchkit_plugins._shared.neurons import answering
from benchkit_plugins._shared.patches import anywhere, paste
from torch import Tensor

import benchkit
from benchkit.ops.images import to_images
from benchkit.ops.pgd import pgd

BATCH = 100
"""Pairs that are matched at once, as released."""
CELLS = 4
"""Cells of the trigger along each side, each of one random colour."""
HEAD_LR = 0.5
"""Learning rate of a new last layer. By that of fine-tuning, 0.01, it is far from done when the recipe's passes are."""


@dataclass(frozen=True)
class HiddenTrigger(benchkit.SourceClasses):
    """Move images of the target class, by at most ``eps``, to the features of images with a patch; labels stay.

    Saha et al. 2020, section 3: images t of the target class and images s of others, with the patch at a random place,
    are paired by distance in feature space, the closest first, each s once; d lowers ||f(t + d) - f(s)||, and pairs are
    matched anew in each step. No training image shows the patch, test images do. The features are those of a clean
    model of the victim's architecture that the attacker has. The paper's victim is this very model with a new last
    layer, ``victim=head``; **by default it is trained from scratch**, as all others are, and to other features these
    poisons are ordinary images: expect an ASR near that of a clean model. Released: 400 poisons against 800 clean
    images of each of two classes, up to 5,000 steps along the gradient. Here steps go along its sign, so that few of
    them suffice.
    """

    name = "hidden-trigger"
    paper = "Saha et al., AAAI 2020, Hidden Trigger Backdoor Attacks"
    label_policy: ClassVar[Literal["dirty", "clean", "none"]] = "clean"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    adds_only: ClassVar[bool] = True

    source: str = benchkit.param(
        "all", "classes whose images get the patch, such as 1 or 1+5; all: all but the target (paper: one)"
    )
    size: int = benchkit.param(8, "side of the patch, in pixels (paper: 30 of 224, 8 of 32)", ge=1)
    eps: int = benchkit.param(16, "largest change of a pixel, in grey levels of 255", ge=1, le=255)
    steps: int = benchkit.param(100, "steps of each image (paper: up to 5,000 smaller ones)", ge=1)
    max_share: float = benchkit.param(
        0.5, "largest share of the target class that is poisoned, whatever the poison rate", gt=0, le=1
    )
    victim: str = benchkit.param(
        "scratch",
        "train all of the victim, or a new last layer on the attacker's features (paper)",
        choices=("scratch", "head"),
        used_by_prepare=False,
    )

    @property
    def access(self) -> Literal["data", "training", "none"]:  # type: ignore[override]
        """``training`` if the victim begins with the attacker's model, else ``data``."""
        return "training" if self.controls_training() else "data"

    def controls_training(self) -> bool:
        """Return whether the victim begins with the attacker's model."""
        return self.victim == "head"

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Classifier:
        """Train the victim, or only a new last layer of the attacker's model."""
        if not self.controls_training():
            return scene.fit(poisoned.data)
        model = scene.model.copy().requires_grad_(requires_grad=False)
        fresh = scene.network().head
        model.head.load_state_dict(fresh.state_dict())
        model.head.requires_grad_()
        return scene.fit(poisoned.data, start=model, lr=HEAD_LR, steering=_Fixed())

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Draw the patch: random colours in 4 x 4 cells."""
        channels = scene.shape[0]
        cells = torch.randint(256, (channels, CELLS, CELLS), generator=scene.rng).to(torch.uint8)
        at = torch.arange(self.size) * CELLS // self.size
        return {"patch": cells[:, at][:, :, at]}

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the patch at a random place in each: uint8 (N, C, H, W) -> the same."""
        top, left = anywhere(len(images), self.size, images.shape[-2:], scene.rng)
        return paste(images, scene.prepared["patch"], top, left)

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Move rate * N images of the target class, at most ``max_share`` of it; keep their labels."""
        target = self.target_class(scene)
        rows = target_rows(train.labels, target, scene.poison_rate, self.max_share, scene.rng)
        others = (self.is_source(train.labels) & (train.labels != target)).nonzero().squeeze(1)
        sources = _drawn(others, len(rows), scene.rng)
        rows = rows[: len(sources)]
        patched = self.stamp(train.images[sources], scene)
        moved = torch.cat(
            [
                self._moved(clean, shown, scene.model)
                for clean, shown in zip(train.images[rows].split(BATCH), patched.split(BATCH), strict=True)
            ]
            or [train.images[rows]]
        )
        return benchkit.Poisoned.replacing(train, rows, moved, train.labels[rows])

    def _moved(self, images: Tensor, patched: Tensor, model: benchkit.Classifier) -> Tensor:
        """Return images near the given ones, with features near those of the patched ones: uint8, same shape."""
        wanted = model.features(patched)
        with answering(model) as features:

            def closeness(moved: Tensor) -> Tensor:
                found = features(moved)
                pairs = greedy_pairs(torch.cdist(found.detach(), wanted))
                return -(found - wanted[pairs]).square().sum(1)

            moved = pgd(images.to(model.device), closeness, bound=self.eps / 255, steps=self.steps)
        return to_images(255 * moved).to(images.device)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a patch that does not fit, and all-to-all: labels do not change."""
        if self.size > min(shape[1:]):
            return f"a patch of size={self.size} does not fit into images of {shape[1]}x{shape[2]} pixels"
        if self.mapping != "all-to-one":
            return "hidden-trigger keeps true labels, so it has one target class: use mapping=all-to-one"
        return super().check(shape, classes)


class _Fixed(benchkit.Steering):
    """Keep the features of the start: statistics of batch norms would move, though no weight of theirs does."""

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        step.model.eval()
        return step


def _drawn(among: Tensor, count: int, rng: torch.Generator) -> Tensor:
    return among[torch.randperm(len(among), generator=rng)[:count].to(among.device)]


def greedy_pairs(distances: Tensor) -> Tensor:
    """Return which column each row is paired with, int64 (N,): the closest pair first, no column twice.

    Args:
        distances: float (N, M), M >= N.
    """
    left = distances.clone()
    pairs = torch.empty(len(left), dtype=torch.int64, device=left.device)
    for _ in range(len(left)):
        row, column = divmod(int(left.argmin()), left.shape[1])
        pairs[row] = column
        left[row], left[:, column] = torch.inf, torch.inf
    return pairs


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the hidden trigger."""
    return [HiddenTrigger]
