"""A stranger's weights: read without running anything in them, and fitted to an architecture or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchkit.errors import DataError
from benchkit.models import Classifier
from benchkit.scan.ready import first_line, printable
from benchkit.train import statistics

WRAPPED = ("state_dict", "model_state_dict", "model", "net")
"""Where training scripts keep the weights inside a checkpoint."""
COUNTER = "num_batches_tracked"
"""What batch normalisation counts; nothing that a trained model computes depends on it."""
SHOWN = 5


def read_weights(path: Path, pickled: bool) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Args:
        pickled: the file is a pickled checkpoint, and the user asked by name to have it read.

    Raises:
        DataError: in one sentence.
    """
    where = printable(str(path))
    if not path.is_file():
        raise DataError(f"there is no file {where}")
    return _unpickled(path, where) if pickled else _safe(path, where)


def _safe(path: Path, where: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{where} is not a safetensors file ({first_line(error)}): save the weights as safetensors, or add "
            "--pickled-checkpoint if it is a .pt or .pth file and you trust where it came from"
        ) from None


def _unpickled(path: Path, where: str) -> dict[str, Tensor]:
    """Read a checkpoint with PyTorch's restricted unpickler, which builds tensors and containers and calls nothing."""
    try:
        # A foreign checkpoint is read only where a user asked for it by name, with weights_only=True.
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or 'it is damaged'}") from None
    except Exception:
        # A damaged file can raise anything, and torch's own text for all of it advises to switch the guard off.
        raise DataError(
            f"{where} is damaged, or it holds other things than tensors, which a scan does not load since they could "
            "run code: save its state dict as safetensors where it was made"
        ) from None
    inner = [found[name] for name in WRAPPED if isinstance(found, Mapping) and isinstance(found.get(name), Mapping)]
    state = inner[0] if inner else found
    if not isinstance(state, Mapping) or not all(isinstance(one, Tensor) for one in state.values()):
        raise DataError(f"{where} holds no state dict (names with tensors): save the model's state_dict() in it")
    return {str(name): tensor for name, tensor in state.items()}


def classifier(state: Mapping[str, Tensor], net: nn.Module, clean: Tensor, what: str) -> tuple[Classifier, bool]:
    """Return the weights as a classifier, and whether its normalisation was taken from the clean images.

    Args:
        state: as saved by benchkit (``net.*``, ``mean``, ``std``), or the architecture's own state dict.
        net: the architecture, with any weights; it becomes part of the classifier.
        clean: uint8 (N, C, H, W), training images of the clean dataset.
        what: the architecture and what it is for, in words.

    Raises:
        DataError: in one sentence that lists what does not fit.
    """
    ours = {"mean", "std"} <= state.keys() and all(name.startswith("net.") for name in state.keys() - {"mean", "std"})
    given = {name.removeprefix("net."): one for name, one in state.items() if not ours or name.startswith("net.")}
    if all(name.startswith("module.") for name in given):  # what torch's data parallelism puts before every name
        given = {name.removeprefix("module."): one for name, one in given.items()}
    faults = _faults(given, net.state_dict())
    if faults:
        raise DataError(f"these weights are not those of {what}: {'; '.join(faults)}")
    net.load_state_dict(given, strict=False)
    mean, std = (state["mean"], state["std"]) if ours else statistics(clean)
    _require_normalisation(mean, std, clean.shape[1])
    return Classifier(net, mean.to(clean.device), std.to(clean.device)), not ours


def _faults(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Return what is missing, strange, of another shape or no number, each as a phrase."""
    missing = [name for name in wanted if name not in given and not name.endswith(COUNTER)]
    strange = [name for name in given if name not in wanted and not name.endswith(COUNTER)]
    both = [(name, given[name], one) for name, one in wanted.items() if name in given]
    shapes = [f"{name} {_sides(one)} instead of {_sides(as_)}" for name, one, as_ in both if one.shape != as_.shape]
    whole = [
        name for name, one, as_ in both if as_.is_floating_point() and not one.is_floating_point()
    ]  # fmt: skip
    broken = [name for name, one, _ in both if one.is_floating_point() and not one.isfinite().all()]
    found = {"missing": missing, "unknown": strange, "of another shape": shapes, "not floating point": whole}
    return [f"{what}: {_some(names)}" for what, names in {**found, "NaN or infinite": broken}.items() if names]


def _sides(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name[:100]) for name in names[:SHOWN]) + more


def _require_normalisation(mean: Tensor, std: Tensor, channels: int) -> None:
    fit = mean.shape == std.shape == (channels,) and mean.is_floating_point() and std.is_floating_point()
    if not fit or not mean.isfinite().all() or not std.isfinite().all() or not (std > 0).all():
        raise DataError(f"mean and std in these weights are not {channels} finite numbers, std above 0")
