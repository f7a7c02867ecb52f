"""Fashion-MNIST, read through torchvision."""

from __future__ import annotations

from dataclasses import dataclass

from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, mnist_parts

import benchkit


@dataclass(frozen=True)
class FashionMnist(TorchvisionDataset):
    """Grey pictures of 10 kinds of clothes, 60,000 + 10,000, 1 x 28 x 28."""

    name = "fashion-mnist"
    paper = "Xiao et al., arXiv 2017, Fashion-MNIST: a Novel Image Dataset"
    reader = "FashionMNIST"

    def parts(self) -> Parts:
        """Return the files of the dataset."""
        return mnist_parts(self.reader)


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer Fashion-MNIST."""
    return [FashionMnist]
