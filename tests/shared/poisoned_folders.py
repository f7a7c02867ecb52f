"""Folders in the layouts of other tools, made of a folder that ``benchkit export --to images`` wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from benchkit.ops import attackfiles
from benchkit.ops.attackfiles import COVER, POISON, STAMPED, Row

OLD_NAMES = {"stem.": "conv1.", "fc.": "linear.", ".shortcut.": ".shortcut.0."}


def _rows(exported: Path, *roles: str) -> list[Row]:
    return attackfiles.read(exported).of(*roles)


def backdoorbench(exported: Path, out: Path) -> Path:
    """Write a result folder of BackdoorBench: PNGs by true class and row, and ``attack_result.pt`` with their paths."""
    parts = {"bd_train": _rows(exported, POISON), "bd_test": _rows(exported, STAMPED)}
    states = {}
    for name, rows in parts.items():
        entries: dict[Any, Any] = {}
        for row in rows:
            home = out / f"{name}_dataset" / str(row.true)
            home.mkdir(parents=True, exist_ok=True)
            shutil.copy(exported / row.file, home / f"{row.row}.png")
            path = f"./record/mine/{name}_dataset/{row.true}/{row.row}.png"
            entries[np.int64(row.row)] = {"path": path, "other_info": [row.label, row.true]}
        states[name] = _state(entries, f"./record/mine/{name}_dataset", [row.row for row in rows])
    weights = load_file(exported / "weights.safetensors")
    about = attackfiles.read(exported).about
    told = {"model_name": about.model, "num_classes": len(about.classes), "model": _theirs(weights)}
    more = {"data_path": "./data/toy", "img_size": [12, 12, 3], "clean_data": "cifar10"}
    torch.save({**told, **more, **states}, out / "attack_result.pt")
    (out / "attack_df.csv").write_text("epoch,test_acc\n1,0.9\n")
    return out


def _state(entries: dict[Any, Any], folder: str, rows: list[int]) -> dict[str, Any]:
    indicator = np.zeros(max(rows) + 1)
    indicator[rows] = 1
    container = {"save_folder_path": folder, "data_dict": entries, "save_file_format": ".png"}
    numbers = {"original_index_array": np.arange(len(indicator)), "poison_indicator": indicator}
    return {"bd_data_container": container, "getitem_all": True, "getitem_all_switch": False, **numbers}


def _theirs(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of a preactresnet18 as BackdoorBench names them; of other networks, as they are."""
    found = {}
    for name, value in weights.items():
        theirs = name.removeprefix("net.")
        for level in range(4):
            theirs = theirs.replace(f"stages.{level}.", f"layer{level + 1}.")
        for ours, old in OLD_NAMES.items():
            theirs = theirs.replace(ours, old)
        if name.startswith("net."):
            found[theirs] = value
    return found


def toolbox(exported: Path, out: Path, train: torch.Tensor, labels: torch.Tensor) -> Path:
    """Write a poisoned_train_set of backdoor-toolbox for a clean training set, with stamped test images beside it."""
    found = attackfiles.read(exported)
    images, given = train.clone(), labels.clone()
    out.mkdir()
    for role, name in ((POISON, "poison_indices"), (COVER, "cover_indices")):
        rows = found.of(role)
        numbers = [row.row for row in rows]
        images[numbers] = found.load(rows)
        given[numbers] = torch.tensor([row.label for row in rows], dtype=torch.int64)
        if rows or role == POISON:
            torch.save(numbers, out / name)
    torch.save(images.float() / 255, out / "imgs")
    torch.save(given, out / "labels")
    stamped(exported, out / "stamped")
    return out


def stamped(exported: Path, out: Path) -> Path:
    """Write the stamped test images by their rows alone."""
    out.mkdir()
    for row in _rows(exported, STAMPED):
        shutil.copy(exported / row.file, out / f"{row.row}.png")
    return out


def plain(exported: Path, out: Path, *, listed: bool) -> Path:
    """Write ``train/LABEL/ROW.png``, whole and unmarked, or only what changed with a list of it; and stamped images."""
    found = attackfiles.read(exported)
    rows = found.of(POISON, COVER) if listed else found.of(*attackfiles.ROLES)
    for row in rows:
        if attackfiles.ROLES[row.role] == "train":
            home = out / "train" / found.about.classes[row.label]
            home.mkdir(parents=True, exist_ok=True)
            shutil.copy(exported / row.file, home / f"{row.row:05d}.png")
    if listed:
        (out / "rows.csv").write_text("\n".join(["row,role", *(f"{row.row},{row.role}" for row in rows)]) + "\n")
    stamped(exported, out / "stamped")
    return out


def told(folder: Path) -> dict[str, Any]:
    """Return what ``attack.json`` says."""
    found: dict[str, Any] = json.loads((folder / "attack.json").read_text())
    return found


def repainted(path: Path) -> None:
    """Change one pixel of an image."""
    with Image.open(path) as image:
        image.load()
        image.putpixel((0, 0), (1, 2, 3))
        image.save(path)
