"""MNIST, read through torchvision."""

from __future__ import annotations

from dataclasses import dataclass

import benchkit

from ._torchvision import Parts, TorchvisionDataset, mnist_parts


@dataclass(frozen=True)
class Mnist(TorchvisionDataset):
    """Handwritten digits, 60,000 + 10,000, 1 x 28 x 28."""

    name = "mnist"
    paper = "LeCun et al., Proc. IEEE 1998, Gradient-Based Learning Applied to Document Recognition"
    reader = "MNIST"

    def parts(self) -> Parts:
        """Return its files."""
        return mnist_parts(self.reader)


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer MNIST."""
    return [Mnist]
