"""Untrusted weights: read without running code from the file, and fitted to an architecture or refused."""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchkit.errors import DataError
from benchkit.files import opened
from benchkit.models.classifier import Classifier
from benchkit.ops.images import statistics
from benchkit.scan.prepare import first_line, printable
from benchkit.scan.states import State, faults, oddity, some, states

LARGEST = 2**36
"""Bytes in the largest file that is read."""
MOST_OPERATIONS = 2**20
"""Operations of the largest pickle that is read; a state dict of a thousand tensors has about twenty thousand."""
LEGACY_PICKLES = 5
"""Pickles at the start of a checkpoint that is not a zip file, before the numbers."""
SIZED = ("builtins bytearray", "__builtin__ bytearray")
"""Objects that torch's unpickler creates with any size that a file requests."""
IGNORED = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "argparse.Namespace",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.ndarray",
)  # fmt: skip
"""Objects that training scripts save beside the weights, such as the best accuracy or their options."""


class Ignored:
    """A placeholder for an object beside the weights: the object is not created, and none of its code runs."""

    def __init__(self, *_: object) -> None:
        """Ignore the data in the file."""

    def __setstate__(self, _: object) -> None:
        """Ignore the data in the file."""


def read_weights(path: Path, pickled: bool) -> Any:
    """Return the content of a file of weights, on the CPU: tensors by name, or nested mappings of these.

    Args:
        pickled: the file may be a pickled checkpoint, because the user explicitly allows it.

    Raises:
        DataError: in one sentence.
    """
    where = printable(str(path))
    try:
        with opened(path, LARGEST) as file:
            start = file.read(9)
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}") from None
    if start[8:] == b"{":  # after the length of its header; a zip file or a pickle begins differently
        return _safe(path, where)
    if not pickled:
        raise DataError(
            f"{where} is not a safetensors file: save the weights as safetensors, or add --pickled-checkpoint if it is "
            "a .pt or .pth file and you trust where it came from"
        )
    return _unpickled(path, where)


def _safe(path: Path, where: str) -> Any:
    try:
        return load_file(path)
    except Exception as error:  # noqa: BLE001 - a damaged file can raise anything
        raise DataError(f"{where} is a damaged safetensors file ({first_line(error)}): save it again") from None


def _unpickled(path: Path, where: str) -> Any:
    """Read a checkpoint with PyTorch's restricted unpickler, which makes tensors and containers and runs no code."""
    try:
        with opened(path, LARGEST) as file:
            zipped = zipfile.is_zipfile(file)
            _require_modest(file, zipped, where)
        return _loaded(path, zipped)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror or 'it is damaged'}") from None
    except Exception:  # noqa: BLE001 - likewise
        # A damaged file can raise anything, and torch's error message advises to turn weights_only off.
        raise DataError(
            f"{where} is damaged, or it holds other things than tensors, which a scan does not load since they could "
            "run code: save its state dict as safetensors where it was made"
        ) from None


def _loaded(path: Path, zipped: bool) -> Any:
    known: list[Any] = [(Ignored, name) for name in IGNORED]
    with torch.serialization.safe_globals(known), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A foreign checkpoint is read only if the user explicitly allows it, with weights_only=True. The numbers in a
        # zip file are memory-mapped, not copied, so that none of its content can be larger than the file.
        return torch.load(path, map_location="cpu", mmap=zipped, weights_only=True)


def _require_modest(file: BinaryIO, zipped: bool, where: str) -> None:
    """Refuse a checkpoint that would take more memory than its size, before any of it is loaded."""
    file.seek(0)
    if zipped:
        _require_uncompressed(file, where)
    for pickle in _zipped_pickles(file) if zipped else _legacy_pickles(file):
        found = list(islice(((op.name, arg) for op, arg, _ in pickle), MOST_OPERATIONS))
        if len(found) == MOST_OPERATIONS or any(name == "GLOBAL" and arg in SIZED for name, arg in found):
            raise DataError(f"{where} holds far more than the weights of a network: save its state dict alone")


def _require_uncompressed(file: BinaryIO, where: str) -> None:
    entries = zipfile.ZipFile(file).infolist()
    size = file.seek(0, 2)
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > size:
        raise DataError(f"{where} is compressed, or its content is larger than the file: save it again with torch.save")


def _zipped_pickles(file: BinaryIO) -> Iterator[Any]:
    archive = zipfile.ZipFile(file)
    for entry in archive.infolist():
        if entry.filename.rpartition("/")[2] == "data.pkl":
            with archive.open(entry) as inside:
                yield pickletools.genops(inside)  # this lists the operations of a pickle without running them


def _legacy_pickles(file: BinaryIO) -> Iterator[Any]:
    for _ in range(LEGACY_PICKLES):
        yield pickletools.genops(file)


def classifier(
    found: Any, net: nn.Module, clean: Tensor, what: str, normal: tuple[Tensor, Tensor] | None = None
) -> tuple[Classifier, bool, list[str]]:
    """Return the weights as a classifier, whether its normalisation is not in the file, and notes.

    Args:
        found: the content of the file: a state dict as saved by benchkit (``net.*``, ``mean``, ``std``) or that of the
            architecture, possibly with a prefix before every name, or mappings that contain one.
        net: the architecture, with any weights; it becomes part of the classifier.
        clean: uint8 (N, C, H, W), training images of the clean dataset.
        what: the architecture and its purpose, in words.
        normal: mean and standard deviation, float (C,), of weights without them; by default those of ``clean``.

    Raises:
        DataError: in one sentence that lists all mismatches.
    """
    wanted = net.state_dict()
    held = states(found, wanted)
    if not held:
        raise DataError("these weights hold no state dict (names with tensors): save the model's state_dict()")
    fitting = [one for one in held if one.known and not faults(one, wanted)]
    if not fitting:
        nearest = max(held, key=lambda one: (one.known, len(one.own)))
        raise DataError(f"these weights are not those of {what}: {'; '.join(faults(nearest, wanted))}")
    chosen, *others = fitting
    net.load_state_dict({name: one.reshape(wanted[name].shape) for name, one in chosen.own.items()}, strict=False)
    said = chosen.normalisation()
    mean, std = said or normal or statistics(clean)
    _require_normalisation(mean, std, clean.shape[1])
    model = Classifier(net, mean.clone().to(clean.device), std.clone().to(clean.device))
    return model, said is None, [_which(chosen, others)] if others else []


def _which(chosen: State, others: Sequence[State]) -> str:
    names = some([one.place for one in others])
    return f"the file holds more than one model: '{printable(chosen.place)}' was scanned, and not {names}"


def _require_normalisation(mean: Tensor, std: Tensor, channels: int) -> None:
    fit = not oddity(mean) and not oddity(std) and mean.shape == std.shape == (channels,)
    if (
        not fit
        or not all(one.is_floating_point() and one.isfinite().all() for one in (mean, std))
        or not (std > 0).all()
    ):
        raise DataError(f"mean and std in these weights are not {channels} finite numbers, std above 0")
