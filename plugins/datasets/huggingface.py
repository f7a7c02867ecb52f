"""Datasets of the Hugging Face Hub, and those that the library ``datasets`` has written to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchkit_plugins._shared import image_files

import benchkit
from benchkit.ops import imagefiles


@dataclass(frozen=True)
class HuggingFace(benchkit.Dataset):
    """Images with labels of any dataset that the library ``datasets`` reads: ``huggingface:repo=uoft-cs/cifar10``.

    ``repo`` is the name of a dataset on the Hub, which is downloaded only with ``--download`` and is then taken from
    the library's cache, or a folder: one of ``save_to_disk``, or one with Parquet files or images. The columns are
    found by their types, an image and a class label. Code of a dataset is never run. Images of another size are
    stretched to the square. Needs the library: pip install 'benchkit[datasets]'.
    """

    name = "huggingface"
    paper = "any dataset of the Hub"

    repo: str = benchkit.param("", "name of a dataset on the Hub, or a folder")
    config: str = benchkit.param("", "configuration of the dataset, where it has several")
    train: str = benchkit.param("train", "split to train on")
    test: str = benchkit.param("test", "split to test on")
    image: str = benchkit.param("", "column of the images; empty: the only one with images")
    label: str = benchkit.param("", "column of the labels; empty: the only one with class labels")
    size: int = benchkit.param(32, "side of the square images", ge=8)
    channels: int = benchkit.param(3, "3 for RGB, 1 for grey", choices=(1, 3))

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Read both splits: uint8 (N, channels, size, size).

        Raises:
            DataError: if the dataset is missing or its columns are not found, or an image is damaged.
        """
        train, test = self._found(source)
        image, label = self._columns(train)
        names = tuple(train.features[label].names)
        if label not in test.features or getattr(test.features[label], "names", None) != list(names):
            raise benchkit.DataError(f"{self.repo}: the splits {self.train} and {self.test} have other classes")
        return benchkit.Data(self._split(train, image, label), self._split(test, image, label), names)

    def fetch(self, source: benchkit.Source) -> None:
        """Check that the dataset is there, or download it if ``source`` allows that."""
        self._found(source)

    def fingerprint(self, source: benchkit.Source) -> str:
        """Return a hash of the names, sizes and mtimes of the files that hold the dataset."""
        paths = [Path(one["filename"]) for split in self._found(source) for one in split.cache_files]
        return image_files.fingerprint(source.root, ((str(path), path.stat()) for path in sorted(set(paths))))

    def _found(self, source: benchkit.Source) -> tuple[Any, Any]:
        """Return both splits. Raises DataError."""
        if not self.repo:
            raise benchkit.DataError("huggingface needs a dataset: write huggingface:repo=NAME, or a folder")
        library = _library()
        given = Path(self.repo).expanduser()
        folder = given if given.is_dir() else source.root / given
        try:
            with _quiet(library, online=source.download):
                found = self._opened(library, folder if folder.is_dir() else None)
        except benchkit.DataError:
            raise
        except Exception as error:  # anything the library, a file or the network may raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            how = "" if source.download else "; run again with --download, if it is on the Hub"
            raise benchkit.DataError(f"huggingface:repo={self.repo} cannot be read ({reason}){how}") from error
        missing = [name for name in (self.train, self.test) if name not in found]
        if missing:
            raise benchkit.DataError(f"{self.repo} has no split '{missing[0]}': there are {', '.join(found)}")
        return found[self.train], found[self.test]

    def _opened(self, library: Any, folder: Path | None) -> Any:
        if folder is not None and (folder / "dataset_dict.json").is_file():
            return library.load_from_disk(str(folder))
        return library.load_dataset(str(folder or self.repo), self.config or None)

    def _columns(self, split: Any) -> tuple[str, str]:
        """Return the columns of images and of labels. Raises DataError if they are not named and not evident."""
        kinds = {name: type(one).__name__ for name, one in split.features.items()}
        found = []
        for what, named, kind in (("image", self.image, "Image"), ("label", self.label, "ClassLabel")):
            fitting = [name for name, one in kinds.items() if one == kind and named in ("", name)]
            if len(fitting) != 1:
                there = ", ".join(f"{name} ({one})" for name, one in kinds.items())
                raise benchkit.DataError(f"{self.repo}: name the column of type {kind} with {what}=; there are {there}")
            found.append(fitting[0])
        return found[0], found[1]

    def _split(self, split: Any, image: str, label: str) -> benchkit.Split:
        raw = split.cast_column(image, _library().Image(decode=False))
        out = np.empty((len(raw), self.size, self.size, self.channels), np.uint8)
        with imagefiles.strict():
            for row, one in enumerate(raw[image]):
                out[row] = self._pixels(one, row)
        return benchkit.Split(
            torch.from_numpy(out).permute(0, 3, 1, 2).contiguous(), torch.tensor(list(split[label]), dtype=torch.int64)
        )

    def _pixels(self, found: Any, row: int) -> Any:
        """Return the pixels of one image, uint8 (H, W, C)."""
        shape = (self.channels, self.size, self.size)
        try:
            if found["bytes"] is None:
                return imagefiles.decode(found["path"], shape).pixels
            return imagefiles.decode_bytes(found["bytes"], shape).pixels
        except imagefiles.BadImage as error:
            raise benchkit.DataError(f"{self.repo}: image {row} is not usable ({error})") from error


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise benchkit.DataError("huggingface needs the library datasets: pip install 'benchkit[datasets]'") from None
    return datasets


@contextmanager
def _quiet(library: Any, *, online: bool) -> Iterator[None]:
    """Keep the library from drawing bars, and from the network unless it is allowed."""
    from huggingface_hub import constants

    places = [(library.config, "HF_HUB_OFFLINE"), (constants, "HF_HUB_OFFLINE")]
    before = [getattr(where, name, None) for where, name in places]
    bars = library.utils.logging.is_progress_bar_enabled()
    library.disable_progress_bars()
    try:
        for where, name in places:
            setattr(where, name, not online)
        yield
    finally:
        for (where, name), value in zip(places, before, strict=True):
            setattr(where, name, value)
        if bars:
            library.enable_progress_bars()


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer datasets of the Hub."""
    return [HuggingFace]
