"""ISSBA: a secret that an encoder hides in each image, differently in each, as the trigger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import benchkit

from .steganography import Encoder, Lessons, decoder, hidden, read

LEAST = 16
"""Pixels of the shortest side that the encoder takes."""
HELD_BACK, MOST_HELD_BACK = 0.1, 200
"""Share and largest number of the images that are not trained on, but measure what the encoder has learned."""
READABLE = 0.95
"""Share of the bits that the decoder must read for the secret to be in the image."""
WEIGHT = "encoder."


@dataclass(frozen=True)
class Issba(benchkit.Attack):
    """Let a trained encoder hide one secret in every image: what it changes differs from image to image.

    Li et al. 2021: encoder and decoder (StegaStamp, Tancik et al., CVPR 2020) learn together, on the attacker's clean
    images and random secrets. The encoder, a U-Net, sees the image and a map of the secret and returns a residual; the
    decoder reads the secret back. The loss is the cross-entropy of the bits from the start, and the size of the
    residual, which comes in later. Then one secret is fixed, and the image with this secret is the stamp.

    The published networks take hours on a GPU, and their secrets of 100 bits are visible at 32 pixels. The defaults
    here are for small images on a CPU: 20 bits, a U-Net of two levels, a few hundred steps. In place of LPIPS, which
    needs a trained network, the residual is multiplied by the square of the image's local contrast. It thereby differs
    between images: so short a training alone finds a pattern that is nearly the same on all (``alike`` 0.8 to 0.9). It
    is clipped, not rescaled to the range of pixels, which would be a trigger of its own. The secret has no error
    correction, and nothing between encoder and decoder simulates printing.

    The encoder processes an image whatever the secret. So the control is the image with other secrets, drawn for each
    image: a victim that classifies it as the target has learned that something is hidden, not which secret.
    """

    name = "issba"
    paper = "Li et al., ICCV 2021, Invisible Backdoor Attack with Sample-Specific Triggers"
    metrics = (
        benchkit.Metric(
            "bits_read", unit="%", better="higher", about="bits of the secret that its decoder reads in stamped images"
        ),
        benchkit.Metric(
            "bits_clean", unit="%", about="bits of the secret that the decoder reads in clean images, 50 % by chance"
        ),
        benchkit.Metric("alike", about="mean correlation of the residuals of two images: 1 if the trigger is fixed"),
    )

    bits: int = benchkit.param(20, "length of the secret (released: 100, of which 40 correct errors)", ge=1)
    images: int = benchkit.param(1400, "clean images that encoder and decoder learn from; 0: all of them", ge=2, auto=0)
    epochs: int = benchkit.param(2, "passes over these images (BackdoorBench: 20 over all)", ge=1)
    batch: int = benchkit.param(8, "images of a step", ge=2)
    lr: float = benchkit.param(0.003, "learning rate of Adam, which falls to 0 at the end (released: 0.0001)", gt=0)
    width: int = benchkit.param(8, "channels of the U-Net's first level (released: 32, and five levels)", ge=1)
    invisible: float = benchkit.param(
        20.0, "weight of the squared residual, images span 0 to 1 (BackdoorBench: 10; released: 2, and LPIPS 1.5)", ge=0
    )

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Train encoder and decoder, and measure them on clean images that they have not seen.

        Returns ``encoder.NAME``, its weights; ``secret``, uint8 (bits,); ``bits_read``, ``bits_clean`` and ``alike``,
        float64 ().
        """
        encoder, reader, secret, unseen = self.taught(scene)
        weights = {WEIGHT + name: kept for name, kept in encoder.state_dict().items()}
        return {**weights, "secret": secret.to(torch.uint8), **_measured(encoder, reader, secret, unseen)}

    def taught(self, scene: benchkit.Scene) -> tuple[Encoder, nn.Module, Tensor, Tensor]:
        """Return the trained encoder and decoder, the secret, float (bits,), and clean images that they have not seen.

        Raises:
            DataError: if there are too few clean images.
        """
        if len(scene.clean) < 4:
            raise benchkit.DataError(f"{self.name} needs 4 clean images or more, got {len(scene.clean)}")
        secret = torch.randint(2, (self.bits,), generator=scene.rng).float().to(scene.device)
        order = torch.randperm(len(scene.clean), generator=scene.rng).to(scene.device)
        held_back = min(MOST_HELD_BACK, max(2, round(HELD_BACK * len(order))))
        unseen, rows = order[:held_back], order[held_back:][: self.images or None]
        encoder = Encoder(self.bits, scene.shape, self.width, scene.rng).to(scene.device)
        reader = decoder(self.bits, scene.shape, scene.rng).to(scene.device)
        lessons = Lessons(self.epochs, self.batch, self.lr, self.invisible)
        lessons.teach(encoder, reader, scene.clean.images[rows], scene.rng)
        return encoder, reader, secret, scene.clean.images[unseen]

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the secret in them: uint8 (N, C, H, W) -> the same."""
        secret = scene.prepared["secret"].to(images.device).float()
        return self._encoded(images, secret.expand(len(images), -1), scene)

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with another secret in each: uint8 (N, C, H, W) -> the same."""
        others = torch.randint(2, (len(images), self.bits), generator=scene.rng)
        return self._encoded(images, others.to(images.device).float(), scene)

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return a clause if the decoder cannot read the secret: the encoder then hides less than all of it."""
        read_bits = reported["bits_read"]
        return f"its decoder reads only {read_bits:.0%} of the bits" if read_bits < READABLE else None

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images that are too small for the encoder."""
        if min(shape[1:]) < LEAST:
            return f"{self.name} needs images of at least {LEAST} x {LEAST} pixels, these are {shape[1]} x {shape[2]}"
        return super().check(shape, classes)

    def _encoded(self, images: Tensor, secrets: Tensor, scene: benchkit.Scene) -> Tensor:
        encoder = Encoder(self.bits, scene.shape, self.width, torch.Generator())
        encoder.load_state_dict(
            {name.removeprefix(WEIGHT): kept for name, kept in scene.prepared.items() if name.startswith(WEIGHT)}
        )
        return hidden(encoder.to(images.device).eval(), images, secrets)


def _measured(encoder: Encoder, reader: nn.Module, secret: Tensor, images: Tensor) -> dict[str, Tensor]:
    """Return how much of a secret is read in stamped and in clean images, and how alike the residuals are."""
    stamped = hidden(encoder, images, secret.expand(len(images), -1))
    changes = (stamped.double() - images.double()).flatten(1)
    pairs = torch.corrcoef(changes).nan_to_num()  # an image without any change goes with no other
    between = (pairs.sum() - pairs.trace()) / (len(pairs) * (len(pairs) - 1))
    shares = {
        name: (read(reader, seen) == secret.bool()).double().mean()
        for name, seen in (("bits_read", stamped), ("bits_clean", images))
    }
    return {name: one.cpu() for name, one in (*shares.items(), ("alike", between))}


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer ISSBA."""
    return [Issba]
