"""The parameters, training and scores that the frequency detector and its training filter share."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

import benchkit

from .manipulations import KINDS, perturb
from .net import ARCHITECTURES, BANDS, FEATURES, FrequencyNet
from .smooth import smooth_copies
from .training import TrainingSchedule, train

CALIBRATION = 0.1
"""Share of the learning images that is held out of the training and sets the threshold."""
LARGE = 160
"""Pixels of the longer side above which the paper uses a linear classifier."""
LEAST_STEPS = 1000
"""Minimum number of training steps of a classifier of bands, enough to converge, unless ``epochs`` is set."""
SMOOTH_BATCH = 128
SELF = "self"
"""The defender's own clean images, as a source in ``train_on``."""
WEIGHT = "net."


@dataclass(frozen=True)
class FrequencyDefense(benchkit.Thresholded):
    """The base of detector and filter: one network, trained once for both."""

    prepared_as = "frequency-detector"
    has_boundary = True
    labelled = False

    clean: float = benchkit.param(
        1.0, "clean images the defender holds, as a share of the training set (the paper: all)", gt=0, le=1
    )
    rounds: int = benchkit.param(5, "times the manipulated copies are drawn anew", ge=1)
    epochs: int = benchkit.param(
        0,
        "passes over clean images and copies in a round (the paper: 10); 0: one, or what 1,000 steps take on dct-bands",
        ge=1,
        auto=0,
    )
    batch: int = benchkit.param(64, "images per training step", ge=2)
    lr: float = benchkit.param(
        1.0, "learning rate of Adadelta (the paper: 0.05); of SGD with momentum 0.9 for linear and svm", gt=0
    )
    anneal: bool = benchkit.param(True, "let the learning rate fall to 0 over the second half (the paper: no)")
    noise_mean: float = benchkit.param(
        25.0,
        "mean of the Gaussian noise in grey levels (the paper's text implies 0, its code adds 25)",
        ge=0,
        le=255,
    )
    arch: str = benchkit.param(
        "auto",
        "six-layer CNN, or logistic regression (linear) or SVM on standardised features; auto: as in the paper, cnn6 "
        "up to 160 pixels and linear for larger images",
        choices=("auto", *ARCHITECTURES),
    )
    feature: str = benchkit.param(
        "auto",
        "DCT coefficients, ln(|coefficient| + 1e-12), ln of the power in bands of frequencies, or 0-255 pixels (the "
        "paper's image-domain baseline); auto: dct for cnn6, dct-bands for linear and svm",
        choices=("auto", *FEATURES),
    )
    manipulations: str = benchkit.param("all", f"what makes the copies: all, or a part of {'+'.join(KINDS)}")
    train_on: str = benchkit.param(
        "", "datasets to learn from, such as gtsrb or self+gtsrb; self (the default) is the defender's own clean images"
    )
    smooth_aug: str = benchkit.param(
        "none",
        "afterwards learn clean images and copies with a smooth trigger (dome) or filtered noise, in batches of 128",
        choices=("none", "dome", "filtered"),
    )
    smooth_images: int = benchkit.param(
        20000, "images of that, half of them copies; fewer where there are not enough", ge=2
    )
    smooth_epochs: int = benchkit.param(1, "passes over them (the paper: 1, over 20,000 images)", ge=1)
    tune: int = benchkit.param(0, "at last fine-tune on so many of its own clean images and their copies", ge=0)
    tune_epochs: int = benchkit.param(10, "passes over the images of tune and their copies", ge=1)
    tune_lr: float = benchkit.param(0.05, "learning rate of smooth_aug and tune, constant", gt=0)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Require grey or RGB images that can be halved three times, and known words in lists."""
        channels, height, width = shape
        if channels not in (1, 3):
            return f"{self.name} needs grey or RGB images, these have {channels} channels"
        if min(height, width) < 8:
            return f"{self.name} needs images of at least 8 x 8 pixels, these are {height} x {width}"
        if self._seen(shape) == ("cnn6", BANDS):
            return f"{self.name}: feature={BANDS} is for arch=linear and arch=svm, cnn6 needs another"
        return self._list_fault() or super().check(shape, classes)

    def other_datasets(self) -> tuple[str, ...]:
        """Return the datasets of ``train_on``, without the defender's own images."""
        return tuple(source for source in self._sources() if source != SELF)

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        """Train the network; return its weights and the scores of the held-out clean images.

        Raises:
            DataError: if there are too few clean images, or those of another dataset have another shape.
        """
        images = self._learned_from(scene)
        order = torch.randperm(len(images), generator=scene.rng)
        held_back = max(1, round(CALIBRATION * len(images)))
        if len(images) - held_back < 2:
            raise benchkit.DataError(
                f"{self.name} needs 3 clean images or more, got {len(images)}: raise clean={self.clean:g}"
            )
        learned, kept_out = order[:-held_back], order[-held_back:]
        net = self._trained(images[learned.to(scene.device)], scene)
        if self.tune:
            copies = functools.partial(self._perturbed, rng=scene.rng)
            course = TrainingSchedule(1, self.tune_epochs, self.batch, self.tune_lr, anneal=False, settled=True)
            train(net, self._own(scene, learned), copies, course, scene.rng)
        weights = {WEIGHT + key: value.cpu().contiguous() for key, value in net.net.state_dict().items()}
        return weights | {"calibration": net.scores(images[kept_out.to(scene.device)]).cpu()}

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the images that were held out of the training."""
        return scene.prepared["calibration"]

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the logit of "manipulated" minus that of "clean"; above 0 the network says manipulated."""
        net = FrequencyNet(*self._seen(scene.shape), scene.shape)
        kept = {key.removeprefix(WEIGHT): value for key, value in scene.prepared.items() if WEIGHT in key}
        net.net.load_state_dict(kept)
        return net.to(scene.device).scores(images.to(scene.device))

    def _seen(self, shape: tuple[int, int, int]) -> tuple[str, str]:
        """Return the classifier for images of this shape, and its features."""
        fitting = "linear" if max(shape[1:]) > LARGE else "cnn6"
        arch = fitting if self.arch == "auto" else self.arch
        feature = ("dct" if arch == "cnn6" else BANDS) if self.feature == "auto" else self.feature
        return arch, feature

    def _epochs(self, net: FrequencyNet, images: int) -> int:
        """Return the number of epochs per round over these images and their copies."""
        if self.epochs or net.feature != BANDS:
            return self.epochs or 1
        return -(-LEAST_STEPS // (self.rounds * -(-2 * images // self.batch)))

    def _list_fault(self) -> str | None:
        kinds, sources = self._kinds(), self._sources()
        if not set(kinds) <= set(KINDS) or len(set(kinds)) < len(kinds):
            known = "+".join(KINDS)
            return f"{self.name}:manipulations must be all or a part of {known}, got '{self.manipulations}'"
        if not all(sources) or len(set(sources)) < len(sources):
            return f"{self.name}:train_on must be different datasets joined by +, got '{self.train_on}'"
        return None

    def _kinds(self) -> tuple[str, ...]:
        return KINDS if self.manipulations == "all" else tuple(self.manipulations.split("+"))

    def _sources(self) -> list[str]:
        return self.train_on.split("+") if self.train_on else [SELF]

    def _learned_from(self, scene: benchkit.Scene) -> Tensor:
        """Return the clean images of every source, the defender's own first: uint8 (N, C, H, W)."""
        found = [scene.clean.images] if SELF in self._sources() else []
        for name in self.other_datasets():
            images = scene.others[name].images
            if images.shape[1:] != scene.shape:
                theirs, ours = (" x ".join(map(str, shape)) for shape in (images.shape[1:], scene.shape))
                raise benchkit.DataError(
                    f"{self.name}:train_on={name} has images of {theirs}, those to judge are {ours}: make them alike"
                )
            found.append(images)
        return torch.cat([images.to(scene.device) for images in found])

    def _own(self, scene: benchkit.Scene, learned: Tensor) -> Tensor:
        """Return ``tune`` of the defender's own images, none of which sets the threshold."""
        own = len(scene.clean)
        rows = learned[learned < own] if SELF in self._sources() else torch.randperm(own, generator=scene.rng)
        if len(rows) < self.tune:
            raise benchkit.DataError(f"{self.name}:tune={self.tune} is more than its own {len(rows)} clean images")
        return scene.clean.images.to(scene.device)[rows[: self.tune].to(scene.device)]

    def _trained(self, clean: Tensor, scene: benchkit.Scene) -> FrequencyNet:
        net = self._new_network(scene)
        net.standardise(clean)
        course = TrainingSchedule(self.rounds, self._epochs(net, len(clean)), self.batch, self.lr, self.anneal)
        train(net, clean, functools.partial(self._perturbed, rng=scene.rng), course, scene.rng)
        if self.smooth_aug != "none":
            course = TrainingSchedule(1, self.smooth_epochs, SMOOTH_BATCH, self.tune_lr, anneal=False, settled=True)
            copies = functools.partial(smooth_copies, kind=self.smooth_aug, rng=scene.rng)
            train(net, clean[: self.smooth_images // 2], copies, course, scene.rng)
        return net

    def _new_network(self, scene: benchkit.Scene) -> FrequencyNet:
        seed = int(torch.randint(2**62, (), generator=scene.rng))
        dropout = torch.Generator(scene.device).manual_seed(seed)
        net = FrequencyNet(*self._seen(scene.shape), scene.shape, init=scene.rng, dropout=dropout)
        return net.to(scene.device).to(memory_format=torch.channels_last)

    def _perturbed(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return perturb(images, rng, self.noise_mean, self._kinds())
