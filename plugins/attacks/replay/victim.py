"""The weights of a folder as the victim of a run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from safetensors.torch import load

import benchkit
from benchkit import files
from benchkit.ops.attackfiles import WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.ops.attackfiles import AttackFiles

LARGEST = 2**34
"""Bytes in the largest file of weights that is read."""


def restored(network: benchkit.Classifier, found: AttackFiles) -> benchkit.Classifier:
    """Return an untrained network with the weights of a folder.

    Raises:
        DataError: if the file is missing or damaged, or they are those of another architecture.
    """
    state = _state(found)
    ours, theirs = ({name: value.shape for name, value in one.items()} for one in (network.state_dict(), state))
    if ours != theirs:
        raise benchkit.DataError(
            f"the weights of {found.root} are those of {found.about.model}: run with --model {found.about.model}"
        )
    network.restore({name: value.to(network.device) for name, value in state.items()})
    return network


def _state(found: AttackFiles) -> dict[str, Tensor]:
    path = found.root / WEIGHTS
    try:
        with files.opened(path, LARGEST, links=False) as file:
            raw = file.read()
    except OSError as error:
        raise benchkit.DataError(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(raw).hexdigest() != found.about.weights:
        raise benchkit.DataError(f"{path} is not the file that attack.json names: make the folder again")
    return load(raw)
