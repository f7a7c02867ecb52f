"""CIFAR-100, read through torchvision."""

from __future__ import annotations

from dataclasses import dataclass

from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, cifar_parts, torchvision_class

import benchkit


@dataclass(frozen=True)
class Cifar100(TorchvisionDataset):
    """Photographs of 100 kinds of object, 50,000 + 10,000, 3 x 32 x 32."""

    name = "cifar100"
    paper = "Krizhevsky, 2009, Learning Multiple Layers of Features from Tiny Images"
    reader = "CIFAR100"

    def parts(self) -> Parts:
        """Return the files of the dataset."""
        return cifar_parts(torchvision_class(self.reader))


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer CIFAR-100."""
    return [Cifar100]
