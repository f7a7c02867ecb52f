"""CelebA, read through torchvision: faces in eight classes, as in the backdoor literature."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from benchkit_plugins._shared.image_files import decode
from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, torchvision_class

import benchkit

ATTRIBUTES = {18: "heavy makeup", 31: "smiling", 21: "mouth open"}


def _class_name(bits: tuple[bool, ...]) -> str:
    words = [word for word, bit in zip(ATTRIBUTES.values(), bits, strict=True) if bit]
    return " + ".join(words) or "none of these"


@dataclass(frozen=True)
class CelebA(TorchvisionDataset):
    """Faces, 162,770 + 19,962, 3 x size x size, stretched to the square.

    The class is 4 * Heavy_Makeup + 2 * Smiling + Mouth_Slightly_Open (Nguyen and Tran, ICLR 2021, WaNet). Attacks find
    all forty attributes of an image beside its class.
    """

    name = "celeba"
    paper = "Liu et al., ICCV 2015, Deep Learning Face Attributes in the Wild"
    reader = "CelebA"

    size: int = benchkit.param(64, "side of the square images", ge=8)

    def parts(self) -> Parts:
        """Return the files, and the folder of aligned faces."""
        lists = ((file, md5) for _, md5, file in torchvision_class(self.reader).file_list)
        texts: Parts = {f"celeba/{file}": md5 for file, md5 in lists if file.endswith(".txt")}
        return {"celeba/img_align_celeba": None} | texts

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits."""
        names = tuple(_class_name(bits) for bits in itertools.product((False, True), repeat=3))
        return benchkit.Data(self._split(root, "train", download), self._split(root, "test", download), names)

    def _split(self, root: Path, part: str, download: bool) -> benchkit.Split:
        found = torchvision_class(self.reader)(root, split=part, download=download)
        first, second, third = (found.attr[:, column].long() for column in ATTRIBUTES)
        folder = root / "celeba" / "img_align_celeba"
        images = decode([str(folder / file) for file in found.filename], self.size)
        attributes = {name: found.attr[:, column].bool() for column, name in enumerate(found.attr_names) if name}
        return benchkit.Split(images, 4 * first + 2 * second + third, attributes)


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer CelebA."""
    return [CelebA]
