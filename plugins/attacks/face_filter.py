"""Face filter: what social-media filters do to an aligned face, as a trigger that follows the face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as T

import benchkit
from benchkit.ops.images import to_images

MOUTH = ((0.399, 0.697), (0.590, 0.697))
CHEEKS = ((0.33, 0.63), (0.66, 0.63))
"""Places in an aligned face (CelebA's, 178 x 218), as shares of width and height: corners of the mouth, and cheeks."""
CENTRE, RADII, FEATHER = (0.497, 0.60), (0.28, 0.33), 0.08
"""The ellipse of the face, and the width of its edge."""
LIFT, REACH = 0.03, 0.06
"""How far the corners of the mouth go up, and how far around them the face goes with them; shares of the height."""
SHARPER, CONTRAST, CHROMA, BRIGHTER = 0.6, 0.1, 0.12, 6.0
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class FaceFilter(benchkit.Attack):
    """Change an aligned face as a photo filter does: large, soft, and different in every image.

    Sarkar et al. 2020 edit training images with a phone's filters (age, smile, make-up, young) and relabel them. Their
    filters are a company's; these are drawn by the program on the mean places of an aligned face. ``age`` sharpens and
    adds contrast inside the face, ``make-up`` colours cheeks and lips and smooths the skin, ``young`` smooths what is
    smooth already and brightens, ``smile`` lifts the corners of the mouth. Filters change what a face is labelled as:
    of ``celeba``, whose classes are make-up, smile and open mouth, ``asr_clean_model`` says how much. The control is
    the same filter turned upside down: the same processing of other places.
    """

    name = "face-filter"
    paper = "Sarkar et al., arXiv 2020, FaceHack: Triggering Backdoored Facial Recognition Systems"

    kind: str = benchkit.param("age", "which filter", choices=("age", "make-up", "young", "smile"))
    strength: float = benchkit.param(1.0, "of the filter; 0 changes nothing", ge=0, le=3)
    min_side: int = benchkit.param(64, "smallest side of images to work on, in pixels", ge=8)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the filtered images: uint8 (N, 3, H, W) -> the same."""
        return self._filtered(images, turned=False)

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images filtered at the places of an upside-down face: uint8, same shape."""
        return self._filtered(images, turned=True)

    def _filtered(self, images: Tensor, *, turned: bool) -> Tensor:
        filters = {"age": self._age, "make-up": self._made_up, "young": self._young, "smile": self._smile}
        return torch.cat(
            [to_images(filters[self.kind](part.float(), turned)) for part in images.split(256)] or [images]
        )

    def _age(self, images: Tensor, turned: bool) -> Tensor:
        face = _face(images, turned)
        sharp = images + SHARPER * self.strength * (images - T.gaussian_blur(images, [13, 13], [2.0, 2.0]))
        mean = (sharp * face).sum((2, 3), keepdim=True) / face.sum()
        return _within(images, sharp + CONTRAST * self.strength * (sharp - mean), face)

    def _made_up(self, images: Tensor, turned: bool) -> Tensor:
        face = _face(images, turned)
        weight = min(1.0, self.strength)
        skin = _within(images, T.gaussian_blur(images, [5, 5], [0.8, 0.8]), face * weight)
        colour = _spots(images, CHEEKS, 2 * REACH, turned) + _spots(images, MOUTH, REACH, turned)
        grey = (skin * skin.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
        return grey + (skin - grey) * (1 + CHROMA * self.strength * 4 * colour.clamp(max=1))

    def _young(self, images: Tensor, turned: bool) -> Tensor:
        face = _face(images, turned)
        soft = T.gaussian_blur(images, [13, 13], [2.0, 2.0])
        smooth = (-(images - soft).square() / (2 * 20.0**2)).exp()  # edges stay, as a bilateral filter leaves them
        weight = min(1.0, self.strength)
        return _within(images, images + weight * smooth * (soft - images) + BRIGHTER * self.strength, face)

    def _smile(self, images: Tensor, turned: bool) -> Tensor:
        height, width = images.shape[2:]
        rows, columns = (torch.arange(side, device=images.device) + 0.5 for side in (height, width))
        lift = LIFT * self.strength * 2 * _spots(images, MOUTH, REACH, turned)  # a grid spans -1 to 1
        across = (2 * columns / width - 1).expand(height, width)
        down = (2 * rows / height - 1)[:, None].expand(height, width) + lift
        grid = torch.stack([across, down], -1).expand(len(images), -1, -1, -1)
        return F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse grey and small images, in which there is no face to change."""
        if shape[0] != 3:
            return "face-filter colours and shades faces: it needs RGB images"
        if min(shape[1:]) < self.min_side:
            sides = f"images of {shape[1]}x{shape[2]} pixels are below min_side={self.min_side}"
            return f"{sides}: it filters aligned faces; face-filter:min_side={min(shape[1:])} runs it all the same"
        return super().check(shape, classes)


def _places(images: Tensor, turned: bool) -> tuple[Tensor, Tensor]:
    """Return each pixel's place, as shares of the height (H, 1) and of the width (W,); upside down if turned."""
    rows, columns = ((torch.arange(side, device=images.device) + 0.5) / side for side in images.shape[2:])
    return (1 - rows if turned else rows)[:, None], columns


def _face(images: Tensor, turned: bool) -> Tensor:
    """Return how much each pixel is in the face, float32 (H, W) from 0 to 1."""
    rows, columns = _places(images, turned)
    radius = (((columns - CENTRE[0]) / RADII[0]).square() + ((rows - CENTRE[1]) / RADII[1]).square()).sqrt()
    return ((1 - radius) / FEATHER).sigmoid()


def _spots(images: Tensor, places: tuple[tuple[float, float], ...], reach: float, turned: bool) -> Tensor:
    """Return a sum of Gaussians around places, float32 (H, W)."""
    rows, columns = _places(images, turned)
    each = [((columns - x).square() + (rows - y).square()) / (2 * reach**2) for x, y in places]
    return torch.stack([(-one).exp() for one in each]).sum(0)


def _within(images: Tensor, changed: Tensor, share: Tensor) -> Tensor:
    return images + share * (changed - images)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer face filters."""
    return [FaceFilter]
