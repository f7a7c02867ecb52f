"""Files of weights, by their content: the forms that training scripts write, and those that must cost nothing."""

from __future__ import annotations

import argparse
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchkit.errors import DataError
from benchkit.models.classifier import Classifier
from benchkit.scan.weights import classifier, read_weights

CLEAN = torch.randint(0, 256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
State = Mapping[str, Any]


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return nn.Sequential(*layers)


SAVED = network().state_dict()


def saved(held: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(held, path)
    return path


def fitted(path: Path) -> tuple[Classifier, bool, list[str]]:
    return classifier(read_weights(path, True), network(seed=1), CLEAN, "the network")


def same(model: Classifier, state: State = SAVED) -> bool:
    return all(torch.equal(one, state[name]) for name, one in model.net.state_dict().items())


def before(prefix: str, state: State = SAVED) -> dict[str, Any]:
    return {prefix + name: one for name, one in state.items()}


NORMAL = {"mean": torch.full((3,), 0.25), "std": torch.ones(3)}
FORMS: dict[str, Any] = {
    "compiled": before("_orig_mod."),
    "parallel and compiled": before("module._orig_mod."),
    "parallel twice": before("module.module."),
    "Lightning": {"state_dict": before("model."), "epoch": 1, "optimizer_states": [{"state": {0: SAVED["0.bias"]}}]},
    "a numpy number beside": {"net": SAVED, "acc": np.float64(93.0), "epoch": np.int64(3)},
    "options beside": {"model": SAVED, "args": argparse.Namespace(lr=0.1), "best": {"acc": 0.9}},
    "a name of its own": {"netC": SAVED},
    "weights": {"weights": SAVED},
    "averaged": {"state_dict_ema": SAVED},
    "nested": {"checkpoint": {"state_dict": SAVED}},
    "numbers among the tensors": {**before("module."), "n_averaged": torch.tensor(7), "epoch": 3},
    "parameters": {name: nn.Parameter(one) if one.is_floating_point() else one for name, one in SAVED.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_usual_forms_of_checkpoints_are_read(form: str, tmp_path: Path) -> None:
    for path, options in ((tmp_path / "new.pt", {}), (tmp_path / "old.pt", {"_use_new_zipfile_serialization": False})):
        torch.save(FORMS[form], path, **options)
        model, guessed, notes = fitted(path)
        assert same(model)
        assert guessed
        assert notes == []


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("inside", ["net.", "net._orig_mod."])
def test_benchkits_own_normalisation_is_found_under_any_prefix(prefix: str, inside: str, tmp_path: Path) -> None:
    model, guessed, _ = fitted(saved(before(prefix, {**before(inside), **NORMAL}), tmp_path / "x.pt"))
    assert same(model)
    assert (guessed, model.mean.tolist()) == (False, [0.25] * 3)


def test_of_two_models_in_a_file_the_first_is_scanned_and_that_is_said(tmp_path: Path) -> None:
    held = {"epoch": 3, "state_dict": SAVED, "state_dict_ema": network(seed=2).state_dict()}
    model, _, notes = fitted(saved(held, tmp_path / "x.pt"))
    assert same(model)
    assert notes == ["the file holds more than one model: 'state_dict' was scanned, and not state_dict_ema"]


def test_other_tensors_beside_the_network_are_no_state_dict_of_it(tmp_path: Path) -> None:
    path = saved({**before("module.encoder."), "module.other.weight": torch.zeros(3, 3)}, tmp_path / "x.pt")
    with pytest.raises(DataError, match=r"unknown: module.other.weight"):
        fitted(path)


def test_a_convolution_over_one_pixel_is_a_linear_layer(tmp_path: Path) -> None:
    path = saved({**SAVED, "4.weight": SAVED["4.weight"][..., None, None]}, tmp_path / "x.pt")
    assert same(fitted(path)[0])


def test_a_safetensors_file_is_known_by_its_content(tmp_path: Path) -> None:
    save_file(dict(SAVED), tmp_path / "x.pth")
    assert same(fitted(tmp_path / "x.pth")[0])
    with pytest.raises(DataError, match="add --pickled-checkpoint"):
        read_weights(saved(SAVED, tmp_path / "x.safetensors"), False)


class Subclass(Tensor):
    """A tensor that may do anything when it is used."""


def emptied() -> Tensor:
    tensor = torch.zeros(2, 4)
    tensor.untyped_storage().resize_(0)
    return tensor


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.zeros(2, 4), 0.1, 0, torch.qint8)


def nested() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.zeros(2, 4)])


UNUSUAL: dict[str, Callable[[], Tensor]] = {
    "sparse": lambda: torch.zeros(2, 4).to_sparse(),
    "sparse rows": lambda: torch.eye(2, 4).to_sparse_csr(),
    "nested": nested,
    "without values": lambda: torch.empty(2, 4, device="meta"),
    "quantised": quantised,
    "complex": lambda: torch.zeros(2, 4, dtype=torch.complex64),
    "float8_e4m3fn": lambda: torch.zeros(2, 4, dtype=torch.float8_e4m3fn),
    "uint16": lambda: torch.zeros(2, 4, dtype=torch.uint16),
    "of another shape": lambda: torch.zeros(1).expand(2**20, 2**20),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("kind", UNUSUAL)
def test_weights_that_are_merely_unusual_are_named_in_one_sentence(kind: str, tmp_path: Path) -> None:
    path = saved({**SAVED, "4.weight": UNUSUAL[kind]()}, tmp_path / "x.pt")
    with pytest.raises(DataError, match=rf"4\.weight.*{kind.split(maxsplit=1)[0]}|{kind}: 4\.weight") as caught:
        fitted(path)
    assert "\n" not in str(caught.value)


def test_tensors_without_storage_or_of_a_class_of_their_own_are_named(tmp_path: Path) -> None:
    for tensor, word in ((emptied(), "without values"), (torch.zeros(2, 4).as_subclass(Subclass), "a Subclass")):
        with pytest.raises(DataError, match=rf"not plain dense numbers: 4.weight \({word}\)"):
            classifier({**SAVED, "4.weight": tensor}, network(), CLEAN, "the network")
    save_file({**SAVED, "4.weight": torch.zeros(2, 4).to(torch.float8_e5m2)}, tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="float8_e5m2"):
        fitted(tmp_path / "x.safetensors")


class Sized:
    """Asks the unpickler for something very large."""

    def __reduce__(self) -> tuple[object, ...]:
        return bytearray, (2**40,)


def zipped(pickled: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", "3\n")
    return raw.getvalue()


def compressed() -> bytes:
    whole, packed = io.BytesIO(), io.BytesIO()
    torch.save({"4.weight": torch.zeros(2**22)}, whole)
    with zipfile.ZipFile(whole) as given, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in given.infolist():
            made.writestr(entry.filename, given.read(entry))
    return packed.getvalue()


HUGE = {
    "compressed": (compressed, "is compressed, or its content is larger than the file"),
    "a thing of any size": (lambda: zipped(pickle.dumps(Sized(), 2)), "far more than the weights"),
    "very many things": (lambda: zipped(b"\x80\x02(" + b"]" * 2**21 + b"l."), "far more than the weights"),
    "very many things, unzipped": (lambda: b"\x80\x02(" + b"]" * 2**21 + b"l.", "far more than the weights"),
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_small_file_that_holds_much_is_refused_before_it_is_loaded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = HUGE[kind]
    (tmp_path / "x.pt").write_bytes(make())
    assert (tmp_path / "x.pt").stat().st_size < 3e6
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(DataError, match=words):
        read_weights(tmp_path / "x.pt", True)


DAMAGED = [
    b"", b"{", b"\x08\0\0\0\0\0\0\0{", b"\xff" * 8 + b"{}", b"PK\x03\x04", b"\x80\x02.", zipped(b"\x80"),
]  # fmt: skip


@pytest.mark.parametrize("raw", DAMAGED)
def test_damaged_files_are_one_sentence(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(raw)
    with pytest.raises(DataError, match="damaged") as caught:
        read_weights(tmp_path / "x.pt", True)
    assert "\n" not in str(caught.value)
