"""Augmentation: crops, mirror images and rotations of a batch, drawn from torch's global CPU generator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from benchkit.training.recipes import Recipe


def augmented(images: Tensor, recipe: Recipe) -> Tensor:
    """Return uint8 (B, C, H, W), each image shifted, mirrored and turned on its own draw; turned ones as floats.

    Whether a batch is cropped, and turned, at all is one draw each, where the recipe leaves that to chance.
    """
    moved = random_crop_and_flip(
        images, recipe.crop if bernoulli(recipe.crop_chance) else 0, recipe.flip, recipe.padding
    )
    return random_rotation(moved, recipe.degrees) if recipe.degrees and bernoulli(recipe.turn_chance) else moved


def to_device(drawn: Tensor, device: torch.device) -> Tensor:
    """Return what was drawn on the CPU on the device; to a GPU it travels while Python goes on to the next call."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn.to(device)


def bernoulli(chance: float) -> bool:
    """Return True with this chance; certainty draws nothing."""
    return chance >= 1 or float(torch.rand(())) < chance


def random_crop_and_flip(images: Tensor, most: int, flip: bool, padding: str) -> Tensor:
    """Return (B, C, H, W) with each image moved by up to ``most`` pixels along each axis, and mirrored or not."""
    count, _, height, width = images.shape
    if not (flip or most):
        return images
    down, right = torch.randint(-most, most + 1, (2, count, 1))
    rows, columns = torch.arange(height) + down, torch.arange(width) + right
    if flip:
        columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    return picked(images, to_device(rows, images.device), to_device(columns, images.device), padding)


def picked(images: Tensor, rows: Tensor, columns: Tensor, padding: str) -> Tensor:
    """Return ``images[b, :, rows[b, i], columns[b, j]]``, channels last; positions outside are padding.

    Args:
        images: (B, C, H, W).
        rows: int64 (B, H), from which row each row comes.
        columns: int64 (B, W), likewise.
        padding: ``zero`` (black) or ``reflect``.
    """
    pixels = images.permute(0, 2, 3, 1)
    if padding == "zero":  # a black frame, from which everything outside is taken
        pixels = F.pad(pixels, (0, 0, 1, 1, 1, 1))
        rows, columns = (at.clamp(-1, side) + 1 for at, side in zip((rows, columns), images.shape[2:], strict=True))
    else:
        rows, columns = (reflected(at, side) for at, side in zip((rows, columns), images.shape[2:], strict=True))
    return _gathered(pixels, rows, columns).permute(0, 3, 1, 2)


def _gathered(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return ``pixels[b, rows[b, i], columns[b, j]]`` of (B, H, W, C): whole rows first, then values of each row.

    That is five times as fast on a CPU as indexing with both at once.
    """
    count, height, width, channels = pixels.shape
    first = torch.arange(count, device=pixels.device)[:, None] * height
    lines = pixels.reshape(count * height, width * channels).index_select(0, (first + rows).flatten())
    values = columns[:, :, None] * channels + torch.arange(channels, device=pixels.device)
    wanted = values.view(count, 1, -1).expand(-1, rows.shape[1], -1)
    return lines.view(count, rows.shape[1], -1).gather(2, wanted).view(count, rows.shape[1], -1, channels)


def reflected(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside 0..size-1 back in, as in a mirror on the border pixel."""
    folded = (size - 1) - (size - 1 - positions.abs()).abs()
    return folded.clamp(0, size - 1)


def random_rotation(images: Tensor, degrees: float) -> Tensor:
    """Return uint8 images (B, C, H, W) as float32 in [0, 1], each turned by up to so many degrees, bilinearly."""
    angles = math.radians(degrees) * (2 * torch.rand(len(images)) - 1)
    cos, sin, still = angles.cos(), angles.sin(), torch.zeros(len(images))
    ratio = images.shape[-2] / images.shape[-1]  # the grid measures both axes from -1 to 1
    maps = torch.stack((cos, -sin * ratio, still, sin / ratio, cos, still), 1).view(-1, 2, 3)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images / 255, to_device(grid, images.device), align_corners=False)
