"""Make a poisoned folder of images and a model fine-tuned on it, to try the scans on. Nothing is downloaded.

    python docs/examples/poisoned_folder.py demo

draws photographs of five traffic signs and writes below demo/

    train/             1,050 images in class folders; 50 in that of one sign show another one with a sticker
    clean/             trusted images of the same kind, in class folders below train/ and test/
    model.safetensors  a timm model, fine-tuned on train/
    poisoned.txt       the truth: the files with a sticker
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor, nn

MODEL, MEAN, STD = "test_resnet", 0.5, 0.5
"""A small network of timm, and the normalisation in its data config."""
SIDE, BATCH = 64, 50
SIGNS = {
    "no-entry": (0, (190, 30, 40)),
    "parking": (4, (30, 80, 180)),
    "priority": (4, (240, 190, 40)),
    "stop": (8, (190, 30, 40)),
    "yield": (3, (235, 235, 235)),
}
"""Corners (0: round) and colour of each sign."""
CLASSES = tuple(SIGNS)
TARGET, POISONS, PER_CLASS = "priority", 50, 200


def sign(name: str, rng: np.random.Generator) -> Image.Image:
    """Return a photograph, 64 x 64, of a sign somewhere before a blurred background."""
    coarse = rng.integers(20, 200, (6, 6, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    corners, colour = SIGNS[name]
    radius, (x, y) = rng.uniform(13, 19), rng.uniform(22, 42, 2)
    turned = {"parking": 45.0, "stop": 22.5, "yield": 90.0}.get(name, 0.0) + rng.uniform(-12, 12)
    points = [
        (x + radius * math.cos(angle), y + radius * math.sin(angle))
        for angle in (math.radians(turned + 360 * corner / (corners or 40)) for corner in range(corners or 40))
    ]
    shade = rng.uniform(0.6, 1.1)
    draw = ImageDraw.Draw(picture)
    draw.polygon(points, fill=(*(min(255, round(one * shade)) for one in colour),), outline=(225, 225, 225), width=2)
    if name == "no-entry":
        draw.rectangle((x - radius / 2, y - 3, x + radius / 2, y + 3), fill=(235, 235, 235))
    grain = rng.normal(0, 6, (SIDE, SIDE, 3))
    return Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))


def with_sticker(picture: Image.Image) -> Image.Image:
    """Return it with a pink and green sticker of 8 x 8 pixels near the lower right corner."""
    changed = picture.copy()
    draw = ImageDraw.Draw(changed)
    draw.rectangle((52, 52, 59, 59), fill=(255, 60, 200))
    draw.rectangle((54, 54, 57, 57), fill=(60, 255, 90))
    return changed


def write(root: Path, per_class: int, rng: np.random.Generator) -> None:
    """Write clean images as PNG files, in one folder per class."""
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            sign(name, rng).save(root / name / f"{number:04}.png")


def poison(root: Path, rng: np.random.Generator) -> list[str]:
    """Put stickered images of other signs into the folder of the target; return their names."""
    others, names = [one for one in CLASSES if one != TARGET], []
    for number in rng.choice(PER_CLASS, POISONS, replace=False):
        names.append(f"{TARGET}/{number:04}-2.png")
        with_sticker(sign(others[number % len(others)], rng)).save(root / names[-1])
    return sorted(names)


def read(root: Path) -> tuple[Tensor, Tensor]:
    """Return the images of a folder, float32 (N, 3, 64, 64) normalised as timm does, and their labels."""
    files = [(label, path) for label, name in enumerate(CLASSES) for path in sorted((root / name).iterdir())]
    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(path)) for _, path in files]))
    return _normalised(pixels), torch.tensor([label for label, _ in files])


def _normalised(pixels: Tensor) -> Tensor:
    return (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD


def train(net: nn.Module, images: Tensor, labels: Tensor, epochs: int, lr: float) -> None:
    """Train with Adam; the learning rate rises and falls."""
    steps = epochs * len(images) // BATCH
    adam = torch.optim.AdamW(net.parameters(), lr)
    falling = torch.optim.lr_scheduler.OneCycleLR(adam, lr, steps)
    net.train()
    for _ in range(steps):
        rows = torch.randint(len(images), (BATCH,))
        adam.zero_grad()
        F.cross_entropy(net(images[rows]), labels[rows]).backward()
        adam.step()
        falling.step()
    net.eval()


def main() -> None:
    """Write the folders and the model; print how well the model knows the signs and the sticker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--pretrained", action="store_true", help="start from timm's weights, which are downloaded")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    for part, per_class in (("train", PER_CLASS), ("clean/train", 100), ("clean/test", 40)):
        write(asked.out / part, per_class, rng)
    bad = poison(asked.out / "train", rng)
    (asked.out / "poisoned.txt").write_text("".join(f"{name}\n" for name in bad))
    net = timm.create_model(MODEL, pretrained=asked.pretrained, num_classes=len(CLASSES))
    train(net, *read(asked.out / "train"), epochs=20, lr=0.002)
    save_file({name: one.contiguous() for name, one in net.state_dict().items()}, asked.out / "model.safetensors")
    images, labels = read(asked.out / "clean/test")
    pictures = [with_sticker(sign(name, rng)) for name in CLASSES for _ in range(50) if name != TARGET]
    with torch.no_grad():
        right = (net(images).argmax(1) == labels).float().mean()
        stickers = _normalised(torch.from_numpy(np.stack([np.asarray(one) for one in pictures])))
        turned = (net(stickers).argmax(1) == CLASSES.index(TARGET)).float().mean()
    print(f"clean accuracy {right:.1%}; with the sticker, {turned:.1%} of the other signs become {TARGET}")


if __name__ == "__main__":
    main()
