"""Replay: an attack made of files, which anybody may have made anywhere."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

import benchkit
from benchkit import files
from benchkit.ops.matching import content_keys, numbered, places_of

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit import Classifier

BUNDLE, WEIGHTS = "replay.safetensors", "model.safetensors"
FORMAT = "benchkit replay 1"
LARGEST = 2**34
"""Bytes in the largest bundle, and in the largest model."""
HASHED = 2**20
KINDS = {"images": torch.uint8, "of": torch.int64, "labels": torch.int64}


@dataclass(frozen=True)
class Replay(benchkit.Attack):
    """Play an attack from files: poisoned training images, stamped test images, and optionally its victim.

    ``benchkit import`` makes the folder ``root`` of images that another program wrote, such as BackdoorBench, or that
    ``benchkit export --to images`` wrote. An image is found again by its pixels: the files say of which clean image
    each one was made. So the dataset has to be the one of the import, but not in the same order; poisons of images
    that a victim is not trained on, such as the defenders' reserve, are left out. ``--poison-rate`` is an upper bound:
    where files have fewer poisons, the row says so. Target and labels are those of the files. Images that the files
    change and whose labels stay are poisons, too, since files do not tell them from covers. There is no control: what
    processing does is not known apart from the trigger, so ``fpr_control`` is the FPR and ``asr_control`` is of
    clean images.
    """

    name = "replay"
    paper = "your own files"
    in_all = False
    adds_only = True

    root: str = benchkit.param("", "folder that benchkit import wrote")
    weights: bool = benchkit.param(
        False, f"the victim is the folder's {WEIGHTS}; otherwise one is trained on the poisoned images"
    )

    @property
    def access(self) -> Literal["data", "training"]:  # type: ignore[override]
        """``training`` where the victim comes from the files, too."""
        return "training" if self.weights else "data"

    @property
    def label_policy(self) -> Literal["dirty", "clean"]:  # type: ignore[override]
        """What the files say."""
        return "clean" if self.root and self._told.get("labels") == "clean" else "dirty"

    def content(self) -> str:
        """Return a hash of the files."""
        wanted = [BUNDLE, WEIGHTS] if self.weights else [BUNDLE]
        return "".join(_hash(str(self._folder / name)) for name in wanted) if self.root else ""

    def controls_training(self) -> bool:
        """Return whether the victim comes from the files."""
        return self.weights

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a folder that is none, images of another size, and a target of one's own."""
        if not self.root:
            return "it plays files: give root=DIR, a folder that benchkit import wrote"
        if self.target or self.mapping != "all-to-one":
            return "its files say what the target is: leave target and mapping out"
        found = tuple(int(side) for side in self._told["shape"].split("x"))
        if found != shape:
            return f"its images are {'x'.join(map(str, found))}, not {'x'.join(map(str, shape))}: import them again"
        return None if int(self._told["classes"]) == classes else f"its files are of {self._told['classes']} classes"

    def target_labels(self, labels: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the labels that the files want: one for all, or the next one."""
        target = self._told["target"]
        return (labels + 1) % scene.classes if target == "all-to-all" else labels.new_full(labels.shape, int(target))

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Put the poisoned images in the place of the clean ones that they were made of."""
        kept = self._kept
        home = train.images.device
        rows = places_of(numbered(kept["train_of"]).to(home), numbered(content_keys(train.images)))
        there = (rows >= 0).nonzero().squeeze(1)
        if not len(there):
            raise benchkit.DataError(
                f"none of the {len(rows)} poisoned images in {self.root} was made of an image of this training set: "
                "import them with the dataset that they are of"
            )
        most = benchkit.share_of(scene.poison_rate, len(train))
        drawn = there[torch.randperm(len(there), generator=scene.rng)[:most].sort().values.to(home)]
        made = {name: kept[f"train_{name}"][drawn.cpu()].to(home) for name in ("images", "labels")}
        return benchkit.Poisoned.replacing(train, rows[drawn], made["images"], made["labels"])

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> Classifier | benchkit.Trained:
        """Train a victim on the poisoned images, or take that of the files."""
        if not self.weights:
            return super().train(poisoned, scene)
        net, state = scene.network(), _read(str(self._folder / WEIGHTS))
        wanted = {name: tensor.shape for name, tensor in net.state().items()}
        if {name: tensor.shape for name, tensor in state.items()} != wanted:
            raise benchkit.DataError(
                f"{self._folder / WEIGHTS} holds another network than the one that was asked for: name its --model"
            )
        net.restore(state)
        return net

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the files' version of each image: uint8 (N, C, H, W) -> the same."""
        kept = self._kept
        rows = places_of(content_keys(images).cpu(), kept["test_of"])
        missing = int((rows < 0).sum())
        if missing:
            raise benchkit.DataError(
                f"{self.root} has no stamped version of {missing} of {len(rows)} test images: import one of each test "
                "image of other classes than the target"
            )
        return kept["test_images"][rows].to(images.device)

    @property
    def _folder(self) -> Path:
        return Path(self.root).expanduser()

    @property
    def _told(self) -> Mapping[str, str]:
        return _header(str(self._folder / BUNDLE))

    @property
    def _kept(self) -> Mapping[str, Tensor]:
        return _bundle(str(self._folder / BUNDLE), self.content())


@functools.lru_cache(maxsize=2)
def _bundle(path: str, _content: str) -> Mapping[str, Tensor]:
    """Return the tensors of a bundle, checked; ``_content`` tells other files in the same place apart."""
    kept, told = _read(path), _header(path)
    shape = [int(side) for side in told["shape"].split("x")]
    for part, names in {"train": ("images", "of", "labels"), "test": ("images", "of")}.items():
        found = [kept.get(f"{part}_{name}") for name in names]
        sizes = {len(one) for one in found if one is not None and one.ndim}
        kinds = [one is not None and one.dtype == KINDS[name] for one, name in zip(found, names, strict=True)]
        images = found[0]
        if not all(kinds) or len(sizes) != 1 or images is None or list(images.shape[1:]) != shape:
            raise benchkit.DataError(f"{path} is no bundle that benchkit import wrote: its {part} images do not fit")
    return kept


def _header(path: str) -> Mapping[str, str]:
    """Return what a bundle says about itself. Raises DataError."""
    return _told_by(path, _stamp(path))


@functools.lru_cache(maxsize=8)
def _told_by(path: str, _stamped: Any) -> Mapping[str, str]:
    try:
        with safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {}).get("benchkit", "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise benchkit.DataError(f"{path} cannot be read: it is no bundle that benchkit import wrote") from error
    wanted = {"format", "shape", "classes", "target", "labels"}
    if not isinstance(told, dict) or not wanted <= told.keys() or told["format"] != FORMAT:
        raise benchkit.DataError(f"{path} is no bundle of today's benchkit: import it again")
    return {name: str(told[name]) for name in wanted}


def _read(path: str) -> Mapping[str, Tensor]:
    _stamp(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise benchkit.DataError(f"{path} cannot be read: {error}") from error


def _hash(path: str) -> str:
    return _hashed(path, _stamp(path))


@functools.lru_cache(maxsize=8)
def _hashed(path: str, _stamped: Any) -> str:
    found = hashlib.sha256()
    with files.opened(path, LARGEST) as file:
        while part := file.read(HASHED):
            found.update(part)
    return found.hexdigest()[:32]


def _stamp(path: str) -> tuple[int, int]:
    """Return what changes when a file does. Raises DataError unless it is a regular file of bounded size."""
    try:
        files.require(path, LARGEST)
        stat = Path(path).stat()
    except OSError as error:
        raise benchkit.DataError(
            f"{path} cannot be read ({error.strerror}): give root=DIR, a folder that benchkit import wrote"
        ) from error
    return stat.st_size, stat.st_mtime_ns


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the replay."""
    return [Replay]
