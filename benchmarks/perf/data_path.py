"""The training data path (crop, flip, normalise), against torchvision transforms on PIL images in a DataLoader."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torchvision.transforms as T
from _perf import Figure, bounded, faster, split, turns
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import benchkit
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.ops.images import statistics
from benchkit.training.augment import augmented
from benchkit.training.recipes import Fast, Recipe
from benchkit.training.trainer import Trainer

Sample = tuple[torch.Tensor, int]


class PerImage(Dataset[Sample]):
    """Images in memory as arrays, made PIL images and transformed one at a time, as torchvision's CIFAR-10 is."""

    def __init__(self, data: benchkit.Split, padding: int) -> None:
        mean, std = (one.tolist() for one in statistics(data.images))
        self.images: np.ndarray = data.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels: list[int] = data.labels.tolist()
        steps = [T.RandomCrop(32, padding=padding), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize(mean, std)]
        self.transform = T.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def ours(data: benchkit.Split, recipe: Recipe, model: Classifier) -> None:
    """Make every batch of one pass, up to what the network sees."""
    for rows in torch.randperm(len(data)).split(recipe.batch_for(len(data))):
        images, _ = data.images.index_select(0, rows), data.labels[rows]
        model.normalised(augmented(images, recipe))


def theirs(data: PerImage, batch: int) -> None:
    """Draw every batch of one pass, in this process: what one worker does."""
    for _ in DataLoader(data, batch, shuffle=True):
        pass


def figures(quick: bool) -> list[Figure]:
    """Measure one pass of the default recipe, and its share of a training step of the default net."""
    count, share, repetitions = (250, 50, 1) if quick else (10_000, 2000, 5)
    data, recipe = split(count), Fast(epochs=1)
    few = data[:share]
    build = functools.partial(create, "narrownet", 10, (3, 32, 32), "cpu")
    trainer = Trainer(recipe, build, torch.device("cpu"))
    model = Classifier(build(), *statistics(data.images))
    per_image = PerImage(few, recipe.crop)
    works = {
        "ours": lambda: ours(data, recipe, model),
        "theirs": lambda: theirs(per_image, recipe.batch_for(share)),
        "short": lambda: ours(few, recipe, model),
        "training": lambda: trainer.fit(few, rng=torch.Generator().manual_seed(0)),
    }
    taken = turns(works, repetitions)
    what = f"crop, flip, normalise {count:,} images"
    against = f"torchvision on PIL in a DataLoader, one process ({share:,} images, scaled)"
    found = faster(what, taken["ours"], against, taken["theirs"].times(count / share), 10)
    percent = 100 / taken["training"].middle()
    step = ("the same as a share of a training step, narrownet", taken["short"], f"training on {share:,} images")
    return [found, bounded(*step, taken["training"], scale=percent, unit="%", most=5)]
