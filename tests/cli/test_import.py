"""What other tools left becomes a folder that ``replay`` runs: their layouts, made of our own images."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixture_types import Cli, Ran, RecordsIn
from here import command_here, run_here
from once import once
from poisoned_folders import backdoorbench as bench
from poisoned_folders import plain, toolbox
from safetensors.torch import load_file

from benchkit.ops import attackfiles
from benchkit.ops.attackfiles import POISON, STAMPED, UNCHANGED

TOY = Path(__file__).parents[1] / "toy.py"
FIXED = ("--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "-p", TOY)
NETWORK = "preactresnet18"
PICKLED = "--pickled-checkpoint"


@pytest.fixture(scope="session")
def exported(shared_folder: Path) -> Path:
    """An exported attack with a network that BackdoorBench has, too; nobody writes into it."""

    def make(folder: Path) -> None:
        asked = ("--attacks", "badnets:target=2", "--defenses", "none", "--model", NETWORK)
        # not the recipe of FIXED, which takes seconds longer on the wide filters of this network
        usual = ("--recipe", "standard:epochs=1,batch=32")
        run_here(*asked, "--dataset", "toy", *usual, "-p", TOY, "--results", folder / "results")
        command_here("export", "--to", "images", "--results", folder / "results", "--out", folder / "images", "-p", TOY)

    (found,) = (once(shared_folder / "imported", make) / "images").iterdir()
    return found


@pytest.fixture
def adopted(benchkit_cli: Cli, tmp_path: Path) -> Callable[..., Ran]:
    """Import a folder that was made of the toy images into ``tmp_path / "mine"``."""

    def run(folder: Path, *args: object) -> Ran:
        return benchkit_cli("import", folder, "--dataset", "toy", "-p", TOY, "--out", tmp_path / "mine", *args)

    return run


def changed(folder: Path) -> dict[tuple[str, int], tuple[int, int, str, str]]:
    """Return what a folder says of each poison and of each stamped image."""
    rows = attackfiles.read(folder).of(POISON, STAMPED)
    return {(one.role, one.row): (one.true, one.label, one.clean, one.pixels) for one in rows}


def clean_train(exported: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the toy training set, of whose rows the exported folder has all but the reserve."""
    spec = importlib.util.spec_from_file_location("toy_images", TOY)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    split = module.render(320, 1)
    return split.images, split.labels


def test_a_result_of_backdoorbench_is_two_commands_from_a_defended_matrix(
    adopted: Cli, benchkit_cli: Cli, exported: Path, tmp_path: Path, records_in: RecordsIn
) -> None:
    theirs = bench(exported, tmp_path / "record" / "badnet_0_1")
    said = adopted(theirs, "--target", 2)
    assert said.code == 0
    assert "--dataset toy --poison-rate 0.0938 " in said.err
    assert changed(tmp_path / "mine") == changed(exported)
    assert not (tmp_path / "mine" / "weights.safetensors").exists()
    how = ("--results", tmp_path / "r", "--executor", "inline", "--device", "cpu")
    asked = ("--attacks", f"replay:root={tmp_path / 'mine'}", "--defenses", "brightest")
    ran = benchkit_cli("run", *asked, *FIXED, *how)
    assert ran.code == 0, ran.err
    found = {one["defense"]: one["metrics"] for one in records_in(tmp_path / "r")}
    assert found["brightest"]["auroc"] > 0.9
    assert found["none"]["poisoned"] == 30 / 304


def test_its_labels_and_its_victim_come_with_the_pickle_that_was_asked_for(
    adopted: Cli, exported: Path, tmp_path: Path
) -> None:
    theirs = bench(exported, tmp_path / "theirs")
    ran = adopted(theirs, PICKLED)
    assert ran.code == 0, ran.err
    assert "trained=true --models preactresnet18" in ran.err
    assert changed(tmp_path / "mine") == changed(exported)
    ours, before = (load_file(one / "weights.safetensors") for one in (tmp_path / "mine", exported))
    assert all(ours[name].equal(before[name]) for name in before if name.startswith("net."))
    assert ours["mean"].tolist() == pytest.approx([0.4914, 0.4822, 0.4465])


def test_a_poisoned_set_of_backdoor_toolbox_is_read(adopted: Cli, exported: Path, tmp_path: Path) -> None:
    theirs = toolbox(exported, tmp_path / "theirs", *clean_train(exported))
    refused = adopted(theirs)
    assert (refused.code, PICKLED in refused.err) == (2, True)
    ran = adopted(theirs, PICKLED)
    assert ran.code == 0, ran.err
    assert changed(tmp_path / "mine") == changed(exported)


@pytest.mark.parametrize("listed", [True, False], ids=["with a list", "without"])
def test_images_by_row_are_read(adopted: Cli, exported: Path, tmp_path: Path, listed: bool) -> None:
    ran = adopted(plain(exported, tmp_path / "theirs", listed=listed))
    assert ran.code == 0, ran.err
    assert changed(tmp_path / "mine") == changed(exported)
    assert not attackfiles.read(tmp_path / "mine").of(UNCHANGED)


def test_weights_are_named_with_their_architecture(adopted: Cli, exported: Path, tmp_path: Path) -> None:
    theirs = plain(exported, tmp_path / "theirs", listed=True)
    file = exported / "weights.safetensors"
    assert "go together" in adopted(theirs, "--weights", file).err
    assert "are not those of" in adopted(theirs, "--weights", file, "--model", "narrownet").err
    assert adopted(theirs, "--weights", file, "--model", NETWORK).code == 0
    ours, before = (load_file(one / "weights.safetensors") for one in (tmp_path / "mine", exported))
    assert all(ours[name].equal(before[name]) for name in before)


def listed(exported: Path, out: Path) -> Path:
    return plain(exported, out, listed=True)


def whole(exported: Path, out: Path) -> Path:
    return plain(exported, out, listed=False)


def boxed(exported: Path, out: Path) -> Path:
    return toolbox(exported, out, *clean_train(exported))


def one_of(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


def moved(pattern: str, name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.move(one_of(folder, pattern), one_of(folder, pattern).parent / name)


def linked(folder: Path) -> None:
    path = one_of(folder, "bd_test_dataset/*/*.png")
    path.unlink()
    path.symlink_to("/etc/passwd")


def piped(folder: Path) -> None:
    path = one_of(folder, "bd_test_dataset/*/*.png")
    path.unlink()
    os.mkfifo(path)


def reclassed(folder: Path) -> None:
    shutil.move(folder / "bd_train_dataset" / "1", folder / "bd_train_dataset" / "9")


def resized(folder: Path) -> None:
    from PIL import Image

    path = one_of(folder, "bd_test_dataset/*/*.png")
    with Image.open(path) as image:
        image.resize((16, 16)).save(path)


def scrambled(folder: Path) -> None:
    torch.save(torch.load(folder / "imgs", weights_only=True).flip(0), folder / "imgs")


def normalised(folder: Path) -> None:
    torch.save(torch.load(folder / "imgs", weights_only=True) * 4 - 2, folder / "imgs")


def hostile(folder: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {folder.parent}/exploded",)

    (folder / "attack_result.pt").write_bytes(pickle.dumps(Bomb()))


MISFITS: list[tuple[Callable[[Path, Path], Path], Callable[[Path], object], list[object], str]] = [
    (bench, lambda folder: None, [], "name it with --target, or add --pickled-checkpoint"),
    (bench, lambda folder: None, ["--target", 4], "--target 4 is not a class"),
    (bench, lambda folder: None, [PICKLED, "--target", 1], "is not the target of the folder"),
    (bench, linked, ["--target", 2], "symbolic links"),
    (bench, piped, ["--target", 2], "neither a file nor a folder"),
    (bench, reclassed, ["--target", 2], "of class 9 in the folder and of class 1 in the dataset"),
    (bench, resized, ["--target", 2], "has 16 x 16 pixels, and not 12 x 12"),
    (bench, moved("bd_train_dataset/1/*.png", "777.png"), ["--target", 2], "the training split has 320 images"),
    (bench, moved("bd_train_dataset/1/*.png", "x.png"), ["--target", 2], "'x' is no row"),
    (bench, lambda folder: one_of(folder, "bd_test_dataset/*/*.png").unlink(), ["--target", 2], "1 of 90 test images"),
    (bench, lambda folder: shutil.rmtree(folder / "bd_test_dataset"), ["--target", 2], "must be a folder of images"),
    (bench, hostile, [PICKLED], "could run code"),
    (bench, lambda folder: (folder / "attack_result.pt").unlink(), [PICKLED], "cannot be read"),
    (bench, lambda folder: torch.save({"a": 1}, folder / "attack_result.pt"), [PICKLED], "is no result of an attack"),
    (boxed, scrambled, [PICKLED], "said to be clean and is not that of the dataset"),
    (boxed, normalised, [PICKLED], "before normalisation"),
    (boxed, lambda folder: torch.save([999], folder / "poison_indices"), [PICKLED], "rows from 0 to 319"),
    (boxed, lambda folder: torch.save(torch.zeros(3).long(), folder / "labels"), [PICKLED], "and 3 labels"),
    (boxed, lambda folder: shutil.rmtree(folder / "stamped"), [PICKLED], "must be a folder of images"),
    (listed, lambda folder: (folder / "rows.csv").write_text("number\n1\n"), [], "a column row"),
    (listed, lambda folder: (folder / "rows.csv").write_text("row,role\n1,bad\n"), [], "the role poison or cover"),
    (listed, lambda folder: (folder / "rows.csv").write_text("row\n2\n"), [], "of which there is no image"),
    (listed, lambda folder: shutil.move(folder / "train" / "c", folder / "train" / "z"), [], "'z' is no class"),
    (whole, lambda folder: shutil.rmtree(folder / "train"), [], "none of the layouts"),
    (whole, lambda folder: shutil.copytree(folder / "train" / "a", folder / "train" / "0"), [], "more than once"),
    (whole, shutil.rmtree, [], "there is no folder"),
]


@pytest.mark.parametrize(
    ("layout", "damage", "args", "sentence"), MISFITS, ids=[f"{one[0].__name__}: {one[3]}" for one in MISFITS]
)
def test_what_does_not_fit_is_refused(
    adopted: Cli, exported: Path, tmp_path: Path, layout: Callable[[Path, Path], Path],
    damage: Callable[[Path], object], args: list[object], sentence: str,
) -> None:  # fmt: skip
    theirs = layout(exported, tmp_path / "theirs")
    damage(theirs)
    ran = adopted(theirs, *args)
    assert (ran.code, sentence in ran.err) == (2, True), ran.err
    assert not (tmp_path / "mine").exists()
    assert not (tmp_path / "exploded").exists()


def test_the_folders_are_looked_at_before_any_dataset_is_read(
    benchkit_cli: Cli, exported: Path, tmp_path: Path
) -> None:
    dataset = ("--dataset", f"image-folder:root={tmp_path / 'nowhere'}")
    ran = benchkit_cli("import", tmp_path / "absent", *dataset, "--out", tmp_path / "mine")
    assert (ran.code, f"there is no folder {tmp_path / 'absent'}" in ran.err) == (2, True)
    theirs = plain(exported, tmp_path / "theirs", listed=True)
    ran = benchkit_cli("import", theirs, *dataset, "--out", exported)
    assert (ran.code, "already there" in ran.err) == (2, True)


def test_our_own_format_needs_no_import(adopted: Cli, exported: Path) -> None:
    ran = adopted(exported)
    assert ran.code == 2
    assert f"--attacks replay:root={exported}" in ran.err


def test_a_folder_that_is_there_is_never_changed(adopted: Cli, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    ran = adopted(plain(exported, tmp_path / "theirs", listed=True))
    assert (ran.code, "already there" in ran.err) == (2, True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
