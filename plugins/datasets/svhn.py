"""SVHN, read through torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, split, torchvision_class

import benchkit


@dataclass(frozen=True)
class Svhn(TorchvisionDataset):
    """House numbers, the digit at the centre, 73,257 + 26,032, 3 x 32 x 32."""

    name = "svhn"
    paper = "Netzer et al., NIPS Workshop 2011, Reading Digits in Natural Images"
    reader = "SVHN"

    mirror: bool = benchkit.param(False, "recipes may mirror training images; a mirrored digit is none")

    def parts(self) -> Parts:
        """Return the files of the dataset."""
        known = torchvision_class(self.reader).split_list
        return {file: md5 for _, file, md5 in (known["train"], known["test"])}

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits."""
        reader = torchvision_class(self.reader)
        train, test = (reader(root, split=part, download=download) for part in ("train", "test"))
        digits = tuple(str(digit) for digit in range(10))
        return benchkit.Data(split(train.data, train.labels), split(test.data, test.labels), digits)


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer SVHN."""
    return [Svhn]
