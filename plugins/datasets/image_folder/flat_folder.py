"""Images without labels, in one folder: what a detector of single images learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from benchkit_plugins._shared import image_files

import benchkit
from benchkit import files
from benchkit.ops import imagefiles


@dataclass(frozen=True)
class FlatFolder(benchkit.UnlabelledFolder):
    """Every image in PATH and its subfolders, of one class: clean images for ``benchkit scan images --clean PATH``.

    Hidden files and files without an image extension are skipped, and a scan reports their number. Symbolic links are
    followed; a broken link is an error. Images of another size are stretched to the square. The test split is the first
    two images: nothing is classified, and no model can be trained on one class.
    """

    name = "flat-folder"
    paper = "your own images"

    channels: int = benchkit.param(3, "3 for RGB, 1 for grey", choices=(1, 3))

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Read all images: uint8 (N, channels, size, size), label 0.

        Raises:
            DataError: if the folder is missing or has no images, or an image is damaged.
        """
        passed = files.Passed()
        images = image_files.decode(self._paths(source, passed), self.size, channels=self.channels)
        train = benchkit.Split(images, torch.zeros(len(images), dtype=torch.int64))
        parts = ", ".join(passed.parts("an image"))
        return benchkit.Data(train, train[:2], ("image",), (f"passed over: {parts}",) if parts else ())

    def fingerprint(self, source: benchkit.Source) -> str:
        """Return a hash of the images' paths, sizes and mtimes."""
        paths = self._paths(source, files.Passed())
        return image_files.fingerprint(self._folder(source), ((path, Path(path).stat()) for path in paths))

    def _folder(self, source: benchkit.Source) -> Path:
        given = Path(self.root).expanduser()
        folder = given if given.is_dir() else source.root / given
        if not self.root or not folder.is_dir():
            raise benchkit.DataError(f"flat-folder: there is no folder '{self.root}': write flat-folder:root=PATH")
        return folder

    def _paths(self, source: benchkit.Source, passed: files.Passed) -> list[str]:
        folder, paths = self._folder(source), []
        for one in files.walk(folder, imagefiles.named_like_an_image, passed):
            if one.fault:
                raise benchkit.DataError(f"{folder / one.path}: {one.fault}: mend or remove it")
            paths.append(str(folder / one.path))
        if len(paths) < 2:
            raise benchkit.DataError(f"{folder} holds {len(paths)} images: name a folder of two or more clean images")
        return paths


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer folders of images without labels."""
    return [FlatFolder]
