"""The five manipulations for training the frequency detector (Zeng et al., ICCV 2021, Section 4), batched.

Each image gets one of them with equal probability: a white block, a block of noise, brightening Gaussian noise, a
shadow on the lower half, or 0.3 times another image added. Every step ends in uint8, like 8-bit files, by truncation if
the authors' code truncates. Lengths are for 32-pixel images and scale with the side.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from benchkit.ops.images import to_bytes

BATCH_VALUES = 1 << 23
"""Pixel values per batch (2,730 images of 3 x 32 x 32); limits the memory of the shadows."""
BLEND = 0.3
SHADOW_VERTICES = 5
KINDS = ("white", "noise", "gaussian", "shadow", "blend")
"""The manipulations, in the order of the authors' code."""


def perturb(images: Tensor, rng: torch.Generator, noise_mean: float = 25.0, kinds: tuple[str, ...] = KINDS) -> Tensor:
    """Return one perturbed copy of every image.

    Args:
        images: uint8 (N, C, H, W) with C = 1 or 3; the second images of the blends are also drawn from them.
        rng: a CPU generator.
        noise_mean: mean of the Gaussian noise in grey levels; the paper's text implies 0, its code adds 25.
        kinds: the manipulations to choose from, with equal probability.
    """
    out = torch.empty_like(images)
    step = max(1, BATCH_VALUES // max(1, images[0].numel()))
    for start in range(0, len(images), step):
        part = images[start : start + step]
        out[start : start + step] = _perturb_batch(part, images, rng, noise_mean, kinds)
    return out


def _perturb_batch(
    images: Tensor, pool: Tensor, rng: torch.Generator, noise_mean: float, kinds: tuple[str, ...]
) -> Tensor:
    manipulations: dict[str, Callable[..., Tensor]] = {
        "white": white_block,
        "noise": noise_block,
        "gaussian": functools.partial(gaussian_noise, mean=noise_mean),
        "shadow": shadow,
        "blend": functools.partial(blend, pool=pool),
    }
    out = images.clone()
    branch = torch.randint(len(kinds), (len(images),), generator=rng)
    for which, kind in enumerate(kinds):
        rows = (branch == which).nonzero().squeeze(1).to(images.device)
        out[rows] = manipulations[kind](images[rows], rng=rng)
    return out


def white_block(images: Tensor, rng: torch.Generator) -> Tensor:
    """Paint a white block of 2..7 x 2..7 pixels, 0..5 pixels from both edges of one of the four corners."""
    return images.masked_fill(_block(images, rng), 255)


def noise_block(images: Tensor, rng: torch.Generator) -> Tensor:
    """Fill a block like that of ``white_block`` with noise, uniform per pixel and channel, truncated to 0..254."""
    noise = to_bytes(torch.rand(images.shape, generator=rng).mul_(255)).to(images.device)
    return torch.where(_block(images, rng), noise, images)


def _block(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return the pixels of one random block per image, bool (N, 1, H, W)."""
    count, _, height, width = images.shape
    margin = torch.randint(max(1, round(6 * min(height, width) / 32)), (count, 1), generator=rng)
    down, across = (_span(size, margin, rng).to(images.device) for size in (height, width))
    return (down[:, :, None] & across[:, None, :])[:, None]


def _span(size: int, margin: Tensor, rng: torch.Generator) -> Tensor:
    """Return which of ``size`` positions a block covers along one axis, bool (N, size)."""
    shortest = max(1, round(2 * size / 32))
    length = torch.randint(shortest, max(shortest + 1, round(8 * size / 32)), margin.shape, generator=rng)
    far_end = torch.rand(margin.shape, generator=rng) < 0.5
    position = torch.arange(size)
    from_edge = torch.where(far_end, size - 1 - position, position)
    return (from_edge >= margin) & (from_edge < margin + length)


def gaussian_noise(images: Tensor, rng: torch.Generator, mean: float = 25.0) -> Tensor:
    """Add noise with this mean and a variance drawn per image from 10..70 (grey levels); clip and truncate."""
    spread = torch.empty(len(images), 1, 1, 1).uniform_(10, 70, generator=rng).sqrt_()
    noise = torch.randn(images.shape, generator=rng) * spread + mean
    return to_bytes((images + noise.to(images.device)).clamp_(0, 255))


def blend(images: Tensor, pool: Tensor, rng: torch.Generator) -> Tensor:
    """Add 0.3 times a random image of ``pool`` (uint8 (M, C, H, W)); clip at white and truncate."""
    partners = pool[torch.randint(len(pool), (len(images),), generator=rng).to(pool.device)]
    mixed = images / 255 + BLEND * (partners / 255)
    return to_bytes(mixed.clamp_(max=1).mul_(255))


def shadow(images: Tensor, rng: torch.Generator) -> Tensor:
    """Halve the lightness inside one or two random polygons of the lower half.

    As in the authors' library, the whole image goes through 8-bit hue, lightness and saturation and back, which changes
    about a quarter of all channel values by up to 5 levels even outside the shadow. Grey images are treated as equal
    red, green and blue.
    """
    inside = _polygons(images, rng)
    hue, lightness, saturation = rgb_to_hls(images.expand(-1, 3, -1, -1))
    lightness = torch.where(inside, (lightness / 2).floor(), lightness)
    return hls_to_rgb(hue, lightness, saturation)[:, : images.shape[1]]


def _polygons(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return the pixels inside one or two random polygons per image, bool (N, H, W)."""
    count, _, height, width = images.shape
    corners = (count, 2, SHADOW_VERTICES)
    x = torch.randint(width + 1, corners, generator=rng).to(images.device)
    y = torch.randint(height // 2, height + 1, corners, generator=rng).to(images.device)
    inside = _crossed_oddly(x, y, height, width)
    second = (torch.rand(count, 1, 1, generator=rng) < 0.5).to(images.device)
    return inside[:, 0] | (inside[:, 1] & second)


def _crossed_oddly(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """Return the pixels inside polygons (..., V) by the even-odd rule, bool (..., height, width)."""
    across = torch.arange(width, device=x.device)
    down = torch.arange(height, device=x.device)
    inside = torch.zeros(*x.shape[:-1], height, width, dtype=torch.bool, device=x.device)
    edges = zip(x.unbind(-1), y.unbind(-1), x.roll(-1, -1).unbind(-1), y.roll(-1, -1).unbind(-1), strict=True)
    for edge in edges:
        x0, y0, x1, y1 = (end[..., None] for end in edge)
        met = (y0 > down) != (y1 > down)
        at = x0 + (down - y0) * (x1 - x0) / torch.where(y1 == y0, 1, y1 - y0)
        inside ^= met[..., None] & (across < at[..., None])
    return inside


def rgb_to_hls(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return 8-bit hue (0..180, units of 2 degrees), lightness and saturation (0..255) as float32 (N, H, W).

    Args:
        images: uint8 (N, 3, H, W). Each result is rounded to the nearest integer.
    """
    red, green, blue = (images / 255).unbind(1)
    high, low = torch.maximum(torch.maximum(red, green), blue), torch.minimum(torch.minimum(red, green), blue)
    total, spread = high + low, high - low
    unit = torch.where(spread > 0, spread, 1)
    sector = torch.where(high == green, 2 + (blue - red) / unit, 4 + (red - green) / unit)
    sector = torch.where(high == red, (green - blue) / unit, sector).remainder(6)
    room = torch.where(total < 1, total, 2 - total)
    saturation = torch.where(spread > 0, spread / torch.where(room > 0, room, 1), 0)
    return (30 * sector).round(), (total * 127.5).round(), (saturation * 255).round()


def hls_to_rgb(hue: Tensor, lightness: Tensor, saturation: Tensor) -> Tensor:
    """Return uint8 (N, 3, H, W), rounded to nearest, from the result of ``rgb_to_hls``."""
    light, part = lightness / 255, saturation / 255
    high = torch.where(light <= 0.5, light * (1 + part), light + part - light * part)
    low = 2 * light - high
    sector = hue[:, None] / 30 + torch.tensor([2.0, 0.0, 4.0], device=hue.device)[:, None, None]
    ramp = sector.remainder(6)
    ramp = torch.minimum(ramp, 4 - ramp).clamp_(0, 1)
    rgb = low[:, None] + (high - low)[:, None] * ramp
    return to_bytes(rgb.mul_(255).round_().clamp_(0, 255))
