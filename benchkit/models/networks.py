"""The small-image networks: ``preactresnet18``, ``narrownet`` (slimmer and wider), ``mntd_cnn``.

The last paragraph of a class's docstring names its paper. Keys are blind to docstrings: an attribute would make every
stored result one of other code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = tuple[int, int, int]
Build = Callable[[int, Shape], nn.Module]
"""``build(classes, (C, H, W))`` -> a network with random weights, drawn from torch's global generator."""
NETS: dict[str, Build] = {}
"""Every network of this module by name. They do not need timm, whose import takes longer than torch's."""


def register_model(build: Build) -> Build:
    """Register a network under the name of its function."""
    NETS[build.__name__] = build
    return build


class PreActBlock(nn.Module):
    """Normalise, activate, convolve; twice (He et al., ECCV 2016, Identity mappings, fig. 4e)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.projects = not isinstance(self.shortcut, nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outside, ceil(H / stride), ceil(W / stride))."""
        ready = F.relu(self.bn1(x))
        kept = self.shortcut(ready if self.projects else x)
        out: Tensor = self.conv2(F.relu(self.bn2(self.conv1(ready)))) + kept
        return out


class PreActResNet18(nn.Module):
    """The field's CIFAR network: 3x3 stem, four stages of two pre-activation blocks; 11.2 M parameters.

    Paper: He et al., ECCV 2016, Identity Mappings in Deep Residual Networks
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        widths = (64, 128, 256, 512)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        pairs = zip((64, *widths[:-1]), widths, (1, 2, 2, 2), strict=True)
        self.stages = nn.Sequential(*(nn.Sequential(PreActBlock(i, o, s), PreActBlock(o, o, 1)) for i, o, s in pairs))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes). As in the usual code, the output of the last block is not normalised."""
        out: Tensor = self.fc(self.stages(self.stem(x)).mean((2, 3)))
        return out


class Halve(nn.Module):
    """2x2 max-pooling that does not change a map of one pixel, so that small images work."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H // 2, W // 2), sides at least 1."""
        return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))


class NarrowNet(nn.Module):
    """A CIFAR network for one CPU core: the airbench net (Jordan, 2024), narrowed.

    A whitening 2x2 convolution (set by :meth:`init_from`), three groups of two 3x3 convolutions, global max-pooling, a
    linear head. 275 k parameters; 1.1 M with twice the widths, 2.0 M with the published ones.
    Without ``tilted`` the bias of the whitening convolution stays zero. Then a training step computes no gradient for
    the input of the first group, whose maps are the largest: a fifth of its arithmetic.

    Paper: Jordan, arXiv 2024 (2404.00498), 94% on CIFAR-10 in 3.29 Seconds on a Single GPU
    """

    def __init__(
        self, classes: int, channels: int, widths: tuple[int, ...] = (16, 64, 128), *, tilted: bool = True
    ) -> None:
        super().__init__()
        self.tilted = tilted
        self.whiten = nn.Conv2d(channels, 8 * channels, 2)
        inside, groups = 8 * channels, []
        for width in widths:
            groups.append(self._group(inside, width))
            inside = width
        self.groups = nn.Sequential(*groups)
        self.head = nn.Linear(inside, classes)
        nn.init.normal_(self.head.weight, std=inside**-1.0)
        nn.init.zeros_(self.head.bias)

    @staticmethod
    def _group(inside: int, width: int) -> nn.Sequential:
        first = nn.Conv2d(inside, width, 3, padding=1, bias=False)
        second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        for conv in (first, second):
            nn.init.dirac_(conv.weight[: conv.in_channels])
        return nn.Sequential(first, Halve(), nn.BatchNorm2d(width), nn.ReLU(), second, nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        out: Tensor = self.head(self.groups(F.relu(self.whiten(x))).amax((2, 3)))
        return out

    @torch.no_grad()
    def init_from(self, images: Tensor) -> list[Tensor]:
        """Set the first convolution from normalised images (N, C, H, W); return the parameters that stay fixed.

        Its filters are the eigenvectors of the 2x2 patches of the images, divided by the root of their eigenvalues, and
        the same negated.
        """
        bands = images.float().transpose(0, 1).contiguous()
        height, width = bands.shape[2:]
        views = [bands[:, :, i : height - 1 + i, j : width - 1 + j] for i in (0, 1) for j in (0, 1)]
        patches = torch.stack(views, 1).flatten(0, 1).flatten(1)  # one row per pixel of a patch
        values, vectors = torch.linalg.eigh((patches @ patches.T / patches.shape[1]).cpu().double())
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(-1, *self.whiten.weight.shape[1:])
        self.whiten.weight.copy_(torch.cat((filters, -filters)))
        assert self.whiten.bias is not None
        self.whiten.bias.zero_()
        return [self.whiten.weight] if self.tilted else [self.whiten.weight, self.whiten.bias]


class MntdCnn(nn.Module):
    """The CNNs of Xu et al. (IEEE S&P 2021), without normalisation layers.

    Four 3x3 convolutions of 32, 32, 64 and 64 filters and two layers of 256, dropout 0.5 before the head (their
    CIFAR-10 network; 1.2 M parameters at 3 x 32 x 32). One-channel images get their MNIST network: two 5x5
    convolutions of 16 and 32 filters, unpadded from 16 pixels on, and a layer of 512.

    Paper: Xu et al., IEEE S&P 2021, Detecting AI Trojans Using Meta Neural Analysis
    """

    def __init__(self, classes: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.maps = self._grey_maps(0 if min(size) >= 16 else 2) if channels == 1 else self._maps(channels)
        with torch.no_grad():
            inside = self.maps(torch.zeros(1, channels, *size)).numel()
        if channels == 1:
            self.dense = nn.Sequential(nn.Linear(inside, 512), nn.ReLU())
        else:
            self.dense = nn.Sequential(
                *(nn.Linear(inside, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.5))
            )
        self.head = nn.Linear(512 if channels == 1 else 256, classes)

    @staticmethod
    def _maps(channels: int) -> nn.Sequential:
        return nn.Sequential(
            *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), Halve()),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), Halve()),
        )

    @staticmethod
    def _grey_maps(padding: int) -> nn.Sequential:
        first, second = nn.Conv2d(1, 16, 5, padding=padding), nn.Conv2d(16, 32, 5, padding=padding)
        return nn.Sequential(first, nn.ReLU(), Halve(), second, nn.ReLU(), Halve())

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        out: Tensor = self.head(self.dense(self.maps(x).flatten(1)))
        return out


@register_model
def preactresnet18(classes: int, shape: Shape) -> PreActResNet18:
    """The field's network for small images, and the default on a GPU."""
    return PreActResNet18(classes, shape[0])


@register_model
def narrownet(classes: int, shape: Shape) -> NarrowNet:
    """The network for one CPU core, and the default on a CPU."""
    return NarrowNet(classes, shape[0])


@register_model
def slimnet(classes: int, shape: Shape) -> NarrowNet:
    """The network for small sets that must train in seconds: half the widths of ``narrownet``, in its second half."""
    return NarrowNet(classes, shape[0], (16, 32, 64), tilted=False)


@register_model
def narrownet_x2(classes: int, shape: Shape) -> NarrowNet:
    """The network for one CPU core with twice the widths, at two to three times the cost."""
    return NarrowNet(classes, shape[0], (32, 128, 256))


@register_model
def airbench94(classes: int, shape: Shape) -> NarrowNet:
    """The network with its published widths, at six times the cost of ``narrownet``, with ReLU."""
    return NarrowNet(classes, shape[0], (64, 256, 256))


@register_model
def mntd_cnn(classes: int, shape: Shape) -> MntdCnn:
    """The network of Meta Neural Analysis, for images of 8 pixels or more."""
    return MntdCnn(classes, shape[0], shape[1:])
