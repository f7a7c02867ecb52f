"""Poisoning 50,000 images, against the field's way: image by image, through PIL, with and without PNG files.

The loops take the steps of BackdoorBench's (utils/bd_dataset_v2.py, read on 27 November 2026): the dataset makes an
image of its array, torchvision's Resize looks at it, its pixels become an array, the trigger is put in with floats,
clipped and cast, torchvision makes an image of the result, and a dictionary keeps it; with files each image is written
as PNG and opened again, once. They are timed on a share of the images and scaled up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms as T
from _perf import Figure, faster, images, scene, turns
from benchkit_plugins.attacks.badnets import BadNets
from benchkit_plugins.attacks.blend import Blend
from benchkit_plugins.attacks.smooth.smooth import Smooth
from PIL import Image

import benchkit
from benchkit.ops.frequency import low_pass

Stamp = Callable[[np.ndarray], np.ndarray]
"""One image (H, W, 3) uint8 -> the same with the trigger."""
Keep = Callable[[int, Image.Image], Image.Image]
"""What becomes of the image of a number before it is kept."""


def patch(image: np.ndarray) -> np.ndarray:
    """Paste a white square by a mask."""
    mask = np.zeros(image.shape, np.float64)
    mask[27:31, 27:31] = 1
    return np.clip(image * (1 - mask) + 255 * mask, 0, 255).astype(np.uint8)


def blended(picture: np.ndarray) -> Stamp:
    """Return what adds a faint picture."""
    return lambda image: np.clip(image.astype(np.float64) + 0.2 * picture, 0, 255).astype(np.uint8)


def smoothed(trigger: np.ndarray) -> Stamp:
    """Return what adds a trigger and stretches the sum to the whole range."""

    def stamp(image: np.ndarray) -> np.ndarray:
        moved = image / 255 + trigger
        stretched: np.ndarray = 255 * (moved - moved.min()) / (moved.max() - moved.min())
        return stretched.astype(np.uint8)

    return stamp


def poisoned(images: np.ndarray, stamp: Stamp, keep: Keep) -> dict[int, Image.Image]:
    """Stamp uint8 images (N, H, W, 3) one by one."""
    resize, to_picture = T.Resize(images.shape[1:3]), T.ToPILImage()
    found = {}
    for number, image in enumerate(images):
        pixels = np.array(resize(Image.fromarray(image)))
        found[number] = keep(number, to_picture(stamp(pixels)))
    return found


def in_memory(_number: int, picture: Image.Image) -> Image.Image:
    """Keep an image as it is."""
    return picture


def through_files(folder: Path) -> Keep:
    """Return what writes an image as PNG and opens it again."""

    def keep(number: int, picture: Image.Image) -> Image.Image:
        path = folder / f"{number}.png"
        picture.save(path)
        with Image.open(path) as file:
            return file.convert("RGB")

    return keep


def figures(quick: bool) -> list[Figure]:
    """Measure three triggers."""
    count, share, repetitions = (200, 20, 1) if quick else (50_000, 1000, 5)
    stack = images(count)
    rng = np.random.default_rng(0)
    field = low_pass(torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0)))
    trigger = 0.2 * (field - field.min()) / (field.max() - field.min())
    ways: dict[str, tuple[benchkit.Attack, Stamp]] = {
        "BadNets": (BadNets(), patch),
        "Blend": (Blend(), blended(255 * rng.random((32, 32, 3)))),
        "smooth": (Smooth(), smoothed(trigger.permute(1, 2, 0).numpy().astype(np.float64))),
    }
    few = stack[:share].permute(0, 2, 3, 1).contiguous().numpy()
    where = scene(benchkit.Split(stack, torch.zeros(count).long()), prepared={"trigger": trigger})
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (attack, stamp) in ways.items():
            works = {
                "ours": lambda attack=attack: attack.stamp(stack, where),
                "memory": lambda stamp=stamp: poisoned(few, stamp, in_memory),
                "files": lambda stamp=stamp: poisoned(few, stamp, through_files(Path(folder))),
            }
            taken = turns(works, repetitions)
            memory, files = (taken[way].times(count / share) for way in ("memory", "files"))
            what, of = f"{name} on {count:,} images", f"{share:,} images, scaled"
            found.append(faster(what, taken["ours"], f"PNG file per image ({of})", files, 100))
            found.append(faster(what, taken["ours"], f"PIL per image in memory ({of})", memory, 30))
    return found
