"""Scores for a folder of images: streamed; the most suspicious images are kept, and a sample gives control figures."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.thresholds import ARGMAX
from benchkit.contracts.verdict import plain
from benchkit.errors import DataError, SpecError, plugin_errors
from benchkit.files import Passed
from benchkit.measure.rates import mean
from benchkit.ops.imagefiles import LOSSY, strict
from benchkit.protocol import cutoff_at, generator
from benchkit.scan.files import Picture, nothing_in, pictures
from benchkit.scan.prepare import printable
from benchkit.scan.sample import Sample
from benchkit.scan.sticker import TOP, with_sticker
from benchkit.spec.spec import component
from benchkit.stages.scenes import defender

if TYPE_CHECKING:
    from benchkit.contracts.kinds import InputDetector
    from benchkit.contracts.scene import Scene
    from benchkit.stages.workspace import Task

FAULTS = 1000
"""Number of unreadable files that are listed by name, and of sizes; others are only counted."""
CONTROLS = {"jpeg_75": "control:jpeg=75", "one_grey_level_of_noise": "control:noise=1", "resize": "control:resize"}


@dataclass(frozen=True, order=True)
class Scored:
    """An image and its score; a higher score is more suspicious, and of equal scores the first found."""

    score: float
    earliness: int
    picture: Picture = field(compare=False)

    @property
    def pixels(self) -> Tensor:
        """The scored image, uint8 (C, H, W)."""
        return torch.from_numpy(np.array(self.picture.pixels)).permute(2, 0, 1)


@dataclass
class Scan:
    """The result of a scan.

    Attributes:
        threshold: the score above which an image is flagged.
        allowed: share of clean images expected above it; measured on clean images if the threshold is argmax.
        shape: (C, H, W) of the images that the detector learned from.
        clean: scores of clean images, from which the threshold comes, float64 (M,), sorted.
        images, flagged, resized, lossy, unreadable: numbers of images.
        sizes: number of images by (width, height).
        passed: skipped files.
        top: the most suspicious images, most suspicious first.
        faults: files that could not be read (only some of them if there are very many).
        sampled: number of images of the control figures.
        controls: share of them that is flagged unchanged, and after each harmless processing.
        stickers: share of them that comes into the top tenth of all of them when it alone has a sticker.
    """

    threshold: float
    allowed: float
    shape: tuple[int, int, int]
    clean: Tensor
    images: int = 0
    flagged: int = 0
    resized: int = 0
    lossy: int = 0
    unreadable: int = 0
    passed: Passed = field(default_factory=Passed)
    top: list[Scored] = field(default_factory=list)
    faults: list[Picture] = field(default_factory=list)
    sampled: int = 0
    controls: dict[str, float] = field(default_factory=dict)
    stickers: float = 0.0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def usual(self) -> tuple[int, int]:
        """The most frequent width and height."""
        return self.sizes.most_common(1)[0][0]

    def percentile(self, score: float) -> float:
        """Return the percentage of clean images with a lower score; half of those with the same one count."""
        below, upto = (float((self.clean < score).double().mean()), float((self.clean <= score).double().mean()))
        return 50 * (below + upto)


class Scanner:
    """A prepared detector: its scene, threshold and scores."""

    def __init__(self, task: Task, defense: InputDetector) -> None:
        self.registry, self.defense, self.seed = task.registry, defense, task.job.seed
        self.scene: Scene = defender(task, "threshold", fit=False)
        with plugin_errors(defense.name):
            self.threshold = checks.number(defense.name, "cutoff", defense.cutoff(self._scene("threshold")))
            self.clean = self._clean()
        self.allowed = mean(self.clean > self.threshold) if defense.threshold == ARGMAX else defense.allowed_fpr

    def _clean(self) -> Tensor:
        """Return the scores of the detector's own clean images, sorted."""
        scores = plain(self.defense.calibration(self._scene("calibration")))
        return checks.scores(self.defense.name, "calibration", scores, len(scores)).cpu().double().sort().values

    def _scene(self, purpose: str) -> Scene:
        return replace(self.scene, rng=generator(self.seed, "defender", purpose))

    def scores(self, images: Tensor) -> Tensor:
        """Return one checked score per image, float64 (N,), of uint8 images (N, C, H, W)."""
        given = images.to(self.scene.device)
        with plugin_errors(self.defense.name):
            returned = self.defense.score(given.clone(), self._scene("score"))
        return checks.scores(self.defense.name, "score", plain(returned), len(images))

    def flagged(self, images: Tensor) -> float:
        """Return the share of images above the threshold."""
        return mean(self.scores(images) > self.threshold)

    def stickers(self, images: Tensor) -> float:
        """Return the share of images whose score, with a sticker, is in the top tenth of theirs without."""
        worse = self.scores(with_sticker(images, generator(self.seed, "defender", "sticker")))
        return mean(worse > cutoff_at(self.scores(images), TOP))

    def processed(self, images: Tensor, control: str) -> Tensor:
        """Return images after a harmless processing."""
        attack = component(control, "attacks", self.registry)
        stamped: Tensor = attack.stamp(images.clone(), self._scene("control"))
        return stamped


def scan(scanner: Scanner, root: Path, most: int) -> Scan:
    """Score every image below a folder, with memory that does not depend on their number.

    Args:
        most: how many of the most suspicious images to keep.

    Raises:
        DataError: if there is no image, or none can be read.
    """
    found = Scan(scanner.threshold, scanner.allowed, scanner.scene.shape, scanner.clean)
    sample = Sample(scanner.seed)
    with strict():
        for some in pictures(root, found.shape, found.passed):
            readable = _sorted_out(found, some)
            if readable:
                _take(found, scanner, readable, sample, most)
    _require_images(found, root)
    found.top.sort(reverse=True)
    found.sampled = len(sample.kept)
    images = torch.stack(sample.kept)
    found.controls, found.stickers = dict(_controls(scanner, images)), scanner.stickers(images)
    return found


def _sorted_out(found: Scan, some: list[Picture]) -> list[Picture]:
    """Count unreadable files; return the others."""
    faulty = [one for one in some if one.pixels is None]
    found.unreadable += len(faulty)
    found.faults += faulty[: FAULTS - len(found.faults)]
    return [one for one in some if one.pixels is not None]


def _take(found: Scan, scanner: Scanner, readable: list[Picture], sample: Sample, most: int) -> None:
    _, height, width = found.shape
    images = torch.from_numpy(np.stack([one.pixels for one in readable if one.pixels is not None]))
    images = images.permute(0, 3, 1, 2).contiguous()
    scores = scanner.scores(images)
    found.flagged += int((scores > found.threshold).sum())
    found.resized += sum(one.size != (width, height) for one in readable)
    found.sizes.update(one.size for one in readable if one.size in found.sizes or len(found.sizes) < FAULTS)
    found.lossy += sum(one.form in LOSSY for one in readable)
    for image, picture, score in zip(images, readable, scores.tolist(), strict=True):
        sample.offer(image)
        found.images += 1
        scored = Scored(score, -found.images, picture)
        if len(found.top) < most:
            heapq.heappush(found.top, scored)
        else:
            heapq.heappushpop(found.top, scored)


def _require_images(found: Scan, root: Path) -> None:
    if found.images:
        return
    where = printable(str(root))
    if found.unreadable:
        first = found.faults[0]
        raise DataError(
            f"none of the {found.unreadable} images in {where} can be read ({printable(first.file)}: "
            f"{printable(first.fault)}): there is nothing to scan"
        )
    raise nothing_in(root, found.passed)


def _controls(scanner: Scanner, images: Tensor) -> Iterator[tuple[str, float]]:
    yield "as_they_are", scanner.flagged(images)
    for name, control in CONTROLS.items():
        yield name, scanner.flagged(scanner.processed(images, control))


def require_input_detector(defense: object) -> InputDetector:
    """Return the defense if it scores images without a model.

    Raises:
        SpecError: for any other defense.
    """
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.kinds import InputDetector

    assert isinstance(defense, Defense)
    if not isinstance(defense, InputDetector):
        kind = defense.kind or "no detector"
        raise SpecError(f"{defense.name} does not score images (it is: {kind}): use an input detector: freq-detector")
    if defense.asks_victim():
        raise SpecError(
            f"{defense.name} needs the predictions of a model, and a scan of images has none: "
            "use an input detector without a model: freq-detector"
        )
    return defense
