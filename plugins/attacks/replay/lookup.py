"""Tables of images: which image takes the place of which, found by the pixels of the clean one."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import benchkit
from benchkit.ops.pictures import DIGEST, digests

if TYPE_CHECKING:
    from benchkit.ops.attackfiles import AttackFiles, Row


def table(found: AttackFiles, name: str, rows: Sequence[Row]) -> dict[str, Tensor]:
    """Return the images of rows as ``name``, uint8 (N, C, H, W), and the digests of their clean ones, uint8 (N, 16)."""
    keys = bytearray(b"".join(bytes.fromhex(one.clean) for one in rows))
    shape = (len(rows), DIGEST)
    told = torch.frombuffer(keys, dtype=torch.uint8).view(shape) if rows else torch.zeros(shape, dtype=torch.uint8)
    return {name: found.load(rows), f"{name}_keys": told.clone()}


def replaced(images: Tensor, prepared: benchkit.Tensors, name: str, where: str) -> Tensor:
    """Return the images of a table that belong to these: uint8 (N, C, H, W) -> the same.

    Raises:
        DataError: if the table lacks one.
    """
    known = {key: number for number, key in enumerate(_bytes(prepared[f"{name}_keys"]))}
    chosen = [known.get(key, -1) for key in digests(images)]
    if -1 in chosen:
        raise benchkit.DataError(
            f"{where} has no {name} version of {chosen.count(-1)} of {len(chosen)} images: it is not of this dataset, "
            "or lacks images"
        )
    return prepared[name].to(images.device)[torch.tensor(chosen, dtype=torch.int64, device=images.device)]


def placed(images: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return which entries of a table are of an image among these, and of which: int64 (M,) both, sorted by image.

    Of images with the same pixels, each is taken once, in their order.
    """
    rows = defaultdict[bytes, deque[int]](deque)
    for row, key in enumerate(digests(images)):
        rows[key].append(row)
    pairs = sorted((rows[key].popleft(), entry) for entry, key in enumerate(_bytes(keys)) if rows.get(key))
    found = torch.tensor(pairs, dtype=torch.int64, device=images.device).view(-1, 2)
    return found[:, 1], found[:, 0]


def _bytes(keys: Tensor) -> list[bytes]:
    return [bytes(one) for one in keys.cpu().numpy()]
