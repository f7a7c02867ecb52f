"""DeepInspect: a generator of perturbations learns how little it takes to reach each label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.drawn import L, drawn
from torch import nn
from torch.nn.utils import skip_init

import benchkit
from benchkit.ops.outliers import double_mad_index

if TYPE_CHECKING:
    from torch import Tensor

NOISE = 100
"""Numbers that the generator draws a perturbation from."""
LEAST = 0.05
"""The least deviation that an index divides by, as a share of the median size."""
SMALL = 8
"""Side of the maps that it begins with."""


@dataclass(frozen=True)
class DeepInspect(benchkit.CleanImages, benchkit.OutlierDetector):
    """Train one conditional generator of perturbations for all labels; a label that takes far less is a target.

    Chen et al. 2019. For a label t and noise z the generator adds ``amp * tanh(G(z, t))`` to images x, clipped to [0,
    1], and minimises ``CE(f(x + G), t) + gan * (D(x + G) - 1)^2 + w_t |G|_1``, where D learns to tell clean images from
    perturbed ones, and ``|G|_1`` is the mean over pixels. The paper lets sizes above a bound count, and loosens the
    bound until the perturbations succeed. Here the weight of the size follows the success, as that of Neural Cleanse
    does: each round that leads at least ``success`` of its images to t makes w_t 1.5 times larger, any other 1.5 times
    smaller. The size of t is the smallest mean of such a round; a label that has none takes as much as the largest.

    The score is the largest left-sided deviation from the median, in median absolute deviations of the values below it
    (the paper's double MAD), of which one is at least a twentieth of the median. An additive perturbation may cover the
    whole image, which Neural Cleanse's masks do not.

    Clean images stand for the paper's inverted ones, which need no data at all. One released implementation replaces
    images by the generator's output instead of perturbing them, draws its noise once, and has no discriminator; ours
    follows the paper. Against the paper, ``cutoff=2`` is no 5 % level.
    """

    name = "deepinspect"
    paper = (
        "Chen et al., IJCAI 2019, DeepInspect: A Black-box Trojan Detection and Mitigation Framework for Deep Neural "
        "Networks"
    )
    labelled = False

    rounds: int = benchkit.param(60, "rounds, after each of which the weights of sizes change", ge=1)
    batches: int = benchkit.param(4, "steps of each round", ge=1)
    batch: int = benchkit.param(16, "images per label in a step", ge=1)
    width: int = benchkit.param(16, "channels of the generator (a peer: 64)", ge=1)
    lr: float = benchkit.param(0.01, "Adam's learning rate", gt=0)
    amp: float = benchkit.param(1.0, "largest change of a pixel", gt=0, le=1)
    gan: float = benchkit.param(0.05, "weight of the discriminator's opinion", ge=0)
    success: float = benchkit.param(0.95, "share of a round's images that must reach the label", gt=0, le=1)

    def indexes(self, values: Tensor) -> Tensor:
        """Return how far below the median each size lies, in median absolute deviations of that side."""
        return double_mad_index(values, "low")

    def score(self, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the index of the label that takes least, a perturbation for it, and the outliers."""
        sizes, shown = self.sizes(scene)
        sizes = sizes.double().cpu()
        # Where all labels take almost the same, a little less is no outlier.
        indexes = double_mad_index(sizes, "low", floor=LEAST * float(sizes.median()))
        best = int(indexes.argmax())
        # Grey is no change, so that darkening is seen as well.
        drawn = (0.5 + shown[best] / 2).clamp(0, 1)
        return benchkit.Verdict(
            float(indexes.max()), images={"recovered perturbation": drawn}, classes=self.outliers(indexes, scene)
        )

    def sizes(self, scene: benchkit.Scene) -> tuple[Tensor, Tensor]:
        """Return what each label takes, float32 (K,), and a perturbation for it, float32 (K, C, H, W)."""
        model = scene.model.requires_grad_(requires_grad=False)
        search = _Search(self, model, scene)
        for _ in range(self.rounds):
            hits, sizes = torch.stack([torch.stack(search.step()) for _ in range(self.batches)]).mean(0)
            search.update(hits >= self.success, sizes)
        return _sized(search.least, sizes), search.shown


def _sized(least: Tensor, last: Tensor) -> Tensor:
    """Return the sizes that have succeeded, (K,), and for labels without one (infinite) the largest of all others."""
    missed = least.isinf()
    return last if bool(missed.all()) else least.masked_fill(missed, float(least[~missed].max()))


class _Search:
    """The generator, the discriminator, and the weight of each label's size."""

    def __init__(self, settings: DeepInspect, model: benchkit.Classifier, scene: benchkit.Scene) -> None:
        self.settings, self.model, self.scene = settings, model, scene
        self.generator = Generator(scene.shape, scene.classes, settings.width, scene.rng).to(scene.device)
        self.judge = _judge(scene.shape[0], settings.width, scene.rng).to(scene.device)
        self.makes, self.judges = (
            torch.optim.Adam(net.parameters(), lr=settings.lr, betas=(0.5, 0.9)) for net in (self.generator, self.judge)
        )
        self.weights = torch.ones(scene.classes, device=scene.device)
        self.least = torch.full_like(self.weights, torch.inf)
        self.shown = self.newest = torch.zeros(scene.classes, *scene.shape, device=scene.device)

    def step(self) -> tuple[Tensor, Tensor]:
        """Train on one batch per label; return each label's success and mean size, float32 (K,) each."""
        settings, classes = self.settings, self.scene.classes
        rows = torch.randint(len(self.scene.clean), (settings.batch,), generator=self.scene.rng)
        images = self.scene.clean.images[rows.to(self.scene.clean.images.device)].to(self.scene.device).float() / 255
        labels = torch.arange(classes, device=self.scene.device).repeat_interleave(settings.batch)
        noise = torch.randn(len(labels), NOISE, generator=self.scene.rng).to(self.scene.device)
        change = settings.amp * self.generator(noise, labels).tanh()
        perturbed = (images.repeat(classes, 1, 1, 1) + change).clamp(0, 1)
        logits = self.model(perturbed)
        sizes = change.abs().flatten(1).mean(1).view(classes, -1).mean(1)
        fooled = (self.judge(perturbed) - 1).square().mean()
        loss = F.cross_entropy(logits, labels) + settings.gan * fooled + (self.weights * sizes).mean()
        self.makes.zero_grad()
        loss.backward()
        self.makes.step()
        if settings.gan:
            self._learn(images, perturbed.detach())
        self.newest = change.detach().view(classes, settings.batch, *self.scene.shape)[:, 0]
        return (logits.argmax(1) == labels).float().view(classes, -1).mean(1), sizes.detach()

    def _learn(self, images: Tensor, perturbed: Tensor) -> None:
        loss = (self.judge(images) - 1).square().mean() + self.judge(perturbed).square().mean()
        self.judges.zero_grad()
        loss.backward()
        self.judges.step()

    def update(self, won: Tensor, sizes: Tensor) -> None:
        """Keep what is smaller than before, and weigh sizes more where a round has won."""
        smaller = won & (sizes < self.least)
        self.least = torch.where(smaller, sizes, self.least)
        self.shown = torch.where((smaller | self.least.isinf())[:, None, None, None], self.newest, self.shown)
        self.weights = torch.where(won, self.weights * 1.5, self.weights / 1.5)


class Generator(nn.Module):
    """Noise (N, 100) and labels (N,) -> perturbations before their tanh, (N, C, H, W)."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int, rng: torch.Generator) -> None:
        super().__init__()
        self.classes, self.width, self.sides = classes, width, shape[1:]
        self.first = _layer(nn.Linear, rng, NOISE + classes, width * SMALL * SMALL)
        self.second = _layer(nn.Conv2d, rng, width, width, 5, padding=2)
        self.third = _layer(nn.Conv2d, rng, width, shape[0], 5, padding=2)

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return perturbations."""
        # The paper's noise has ten times this deviation.
        asked = torch.cat([noise / 10, F.one_hot(labels, self.classes).float()], 1)
        small = F.relu(self.first(asked)).view(-1, self.width, SMALL, SMALL)
        large = F.relu(self.second(F.interpolate(small, self.sides, mode="bilinear", align_corners=False)))
        drawn: Tensor = self.third(large)
        return drawn


def _judge(channels: int, width: int, rng: torch.Generator) -> nn.Sequential:
    """Return a discriminator: images (N, C, H, W) -> (N, 1), 1 for clean ones."""
    convs = [_layer(nn.Conv2d, rng, a, width, 3, stride=2, padding=1) for a in (channels, width)]
    last = _layer(nn.Linear, rng, width, 1)
    return nn.Sequential(
        convs[0], nn.LeakyReLU(0.2), convs[1], nn.LeakyReLU(0.2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last
    )


def _layer(kind: type[L], rng: torch.Generator, *sizes: int, **how: int) -> L:
    return drawn(cast("L", skip_init(kind, *sizes, **how)), rng)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer DeepInspect."""
    return [DeepInspect]
