"""The format of attacks as files: what is written is read, and each misfit is one sentence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from poisoned_folders import repainted

from benchkit.errors import DataError
from benchkit.export.attack_folder import Part, write
from benchkit.ops import attackfiles
from benchkit.ops.attackfiles import About
from benchkit.ops.pictures import digests

ABOUT = About("mine", "four tints", "", tuple("abcd"), (3, 12, 12), 320, 120, 2, "all-to-one", (), "dirty", "")


def part(role: str, folder: str, rows: list[int], label: int) -> Part:
    numbers = torch.tensor(rows)
    clean = torch.randint(256, (len(rows), 3, 12, 12), generator=torch.Generator().manual_seed(rows[0])).byte()
    images = clean.clone()
    images[..., -3:, -3:] = 255
    return Part(role, folder, numbers, numbers % 4, torch.full_like(numbers, label), clean, images)


PARTS = [part("poison", "train", [3, 7, 11], 2), part("stamped", "stamped", [0, 1, 4], 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three poisons and three stamped images."""
    made = tmp_path / "made"
    made.mkdir()
    write(made, ABOUT, PARTS, None)
    return made


def read_all(folder: Path) -> attackfiles.AttackFiles:
    found = attackfiles.read(folder)
    found.load(found.rows)
    return found


def test_what_is_written_is_read(folder: Path) -> None:
    found = read_all(folder)
    assert found.about == ABOUT
    for one in PARTS:
        rows = found.of(one.role)
        assert [(row.row, row.true, row.label) for row in rows] == list(
            zip(one.rows.tolist(), one.true.tolist(), one.labels.tolist(), strict=True)
        )
        assert found.load(rows).equal(one.images)
        assert [bytes.fromhex(row.clean) for row in rows] == digests(one.clean)


def test_grey_images_are_read_as_they_were(tmp_path: Path) -> None:
    from dataclasses import replace

    grey = [replace(one, clean=one.clean[:, :1], images=one.images[:, :1]) for one in PARTS]
    write(tmp_path, replace(ABOUT, shape=(1, 12, 12)), grey, None)
    found = attackfiles.read(tmp_path)
    assert found.load(found.of("poison")).equal(grey[0].images)


def test_the_checksum_follows_what_the_lists_say(folder: Path, tmp_path: Path) -> None:
    before = attackfiles.read(folder).digest
    assert attackfiles.read(Path(shutil.copytree(folder, tmp_path / "copy"))).digest == before
    edited('"mine"', '"yours"', "attack.json")(folder)
    assert attackfiles.read(folder).digest != before


def no_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def no_list(folder: Path) -> None:
    (folder / "attack.json").unlink()


def without(what: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        lines = (folder / "rows.csv").read_text().splitlines(keepends=True)
        (folder / "rows.csv").write_text("".join(line for line in lines if not line.startswith(what)))

    return damage


def edited(old: str, new: str, name: str = "rows.csv") -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return damage


def first(folder: Path, role: str = "stamped") -> Path:
    return folder / attackfiles.read(folder).of(role)[0].file


def another_size(folder: Path) -> None:
    with Image.open(first(folder)) as image:
        image.resize((13, 12)).save(first(folder))


def a_pipe(folder: Path) -> None:
    path = first(folder)
    path.unlink()
    os.mkfifo(path)


def a_link(folder: Path) -> None:
    path = first(folder)
    shutil.move(path, folder.parent / "elsewhere.png")
    path.symlink_to(folder.parent / "elsewhere.png")


def a_linked_folder(folder: Path) -> None:
    shutil.move(folder / "stamped", folder.parent / "elsewhere")
    (folder / "stamped").symlink_to(folder.parent / "elsewhere")


def again(folder: Path) -> None:
    lines = (folder / "rows.csv").read_text().splitlines(keepends=True)
    (folder / "rows.csv").write_text("".join([*lines, lines[1]]))


MISFITS: list[tuple[Callable[[Path], object], str]] = [
    (no_folder, "there is no folder"),
    (no_list, "make a folder that does with benchkit import"),
    (without("stamped"), "lists no stamped test image"),
    (without("role"), "must begin with the columns"),
    (again, "again"),
    (edited("poison,3,", "poison,320,"), "and the train split has 320 images"),
    (edited("poison,3,3,2,", "poison,3,3,4,"), "names class 4, and there are 4 classes"),
    (edited("poison,3,", "poisson,3,"), "has the role 'poisson'"),
    (edited("stamped/0002/", "stamped/../../"), "is no image in the folder"),
    (edited("poison,3,", "poison,-3,"), "cannot be read"),
    (edited('"format": 1', '"format": 2', "attack.json"), "is of another format"),
    (edited('"target": 2', '"target": "2"', "attack.json"), "does not describe an attack"),
    (edited("{", "[", "attack.json"), "does not describe an attack"),
    (another_size, "has 13 x 12 pixels, and not 12 x 12"),
    (a_pipe, "it is not a regular file"),
    (a_link, "symbolic links"),
    (a_linked_folder, "is a link"),
    (lambda folder: first(folder).unlink(), "No such file"),
    (lambda folder: first(folder).write_bytes(b"no image"), "not an image"),
    (lambda folder: repainted(first(folder)), "is not the image that rows.csv lists"),
]


@pytest.mark.parametrize(("damage", "sentence"), MISFITS, ids=[sentence for _, sentence in MISFITS])
def test_what_does_not_fit_is_refused(folder: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(folder)
    with pytest.raises(DataError) as refused:
        read_all(folder)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
