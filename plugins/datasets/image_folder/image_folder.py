"""Your own images, one folder per class: ``image-folder:root=PATH``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from benchkit_plugins._shared import image_files

import benchkit

from . import layouts


@dataclass(frozen=True)
class ImageFolder(benchkit.Dataset):
    """PATH/train/CLASS/... and PATH/test/CLASS/..., or PATH/CLASS/... with a test share taken from every class.

    The images of a class are all images in its folder and its subfolders. The folder train may also be called training;
    test may be called testing, val, valid or validation, in upper or lower case. Of several, the first with labels is
    the test split. A split may have a list instead of class folders, as in Tiny ImageNet: val/val_annotations.txt for
    val/images. Classes are numbered in the order of their names. Hidden files and files without an image extension are
    skipped, and a run reports their number. Symbolic links are followed; a broken link is an error. Images of another
    size are stretched to the square.
    """

    name = "image-folder"
    paper = "your own images"

    root: str = benchkit.param("", "folder that holds train/ and test/, or the class folders")
    size: int = benchkit.param(32, "side of the square images", ge=8)
    channels: int = benchkit.param(3, "3 for RGB, 1 for grey", choices=(1, 3))
    test_share: float = benchkit.param(0.2, "test images per class where there is no test/", gt=0, lt=1)

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Read both splits: uint8 (N, channels, size, size).

        Raises:
            DataError: if the folder is missing or has another layout, or an image is damaged.
        """
        found = self._found(source)
        classes = tuple(found.train)
        train, test = self._split(found.train, classes), self._split(found.test, classes)
        return benchkit.Data(train, test, classes, found.said())

    def fingerprint(self, source: benchkit.Source) -> str:
        """Return a hash of the images' paths, sizes and mtimes."""
        paths = self._found(source).paths()
        return image_files.fingerprint(self._folder(source), ((path, Path(path).stat()) for path in paths))

    def _folder(self, source: benchkit.Source) -> Path:
        if not self.root:
            raise benchkit.DataError("image-folder needs a folder: write image-folder:root=PATH")
        given = Path(self.root).expanduser()
        beneath = source.root / given
        folder = given if given.is_dir() else beneath
        if not folder.is_dir():
            places = dict.fromkeys((str(given), str(beneath)))
            raise benchkit.DataError(f"image-folder: there is no folder {' or '.join(places)}; check root=")
        return folder

    def _found(self, source: benchkit.Source) -> layouts.Layout:
        try:
            return layouts.find(self._folder(source), self.test_share)
        except OSError as error:
            raise benchkit.DataError(f"{error.filename} cannot be read ({error.strerror})") from error

    def _split(self, listing: layouts.Listing, classes: tuple[str, ...]) -> benchkit.Split:
        rows = [(path, label) for label, name in enumerate(classes) for path in listing.get(name, [])]
        images = image_files.decode([path for path, _ in rows], self.size, channels=self.channels)
        return benchkit.Split(images, torch.tensor([label for _, label in rows]))


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer folders of images."""
    return [ImageFolder]
