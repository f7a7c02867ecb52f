"""Tensors as the bytes of a safetensors file, whatever memory they lie in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Return named tensors as the bytes of a safetensors file: values, shapes and dtypes, nothing else.

    They may be on any device, views, expanded, transposed, or one tensor under two names: each is stored whole.
    """
    from safetensors.torch import save

    return save(_separate(tensors))


def unpack(raw: bytes) -> dict[str, Tensor]:
    """Return the tensors in such bytes, on the CPU.

    Raises:
        SafetensorError: if the bytes are no safetensors file.
    """
    from safetensors.torch import load

    return dict(load(raw))


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors contiguous on the CPU, and no two in the same memory, which safetensors refuses.

    Only what shares memory is copied: a dataset may fill half of it.
    """
    found: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        place = plain.untyped_storage().data_ptr()
        found[name] = plain.clone() if place in taken else plain
        taken.add(place)
    return found
