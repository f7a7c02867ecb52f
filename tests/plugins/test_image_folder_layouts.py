"""The ways people lay out folders of images: what is read of each, what is said of the rest, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from benchkit_plugins.datasets.image_folder.image_folder import ImageFolder
from PIL import Image
from sample_pictures import save_even

from benchkit import Data, DataError, Source

HERE = Source(Path("unused"))


def load_folder(root: Path, **params: Any) -> Data:
    return ImageFolder(root=str(root), **params).load(HERE)


def fill(root: Path, *folders: str, images: int = 2) -> Path:
    """Put images into folders; each folder has grey levels of its own: 0, 1, ... in the first, 20, 21, ... then."""
    for place, folder in enumerate(folders):
        for row in range(images):
            save_even(root / folder / f"{row}.png", 20 * place + row)
    return root


def greys(data: Data) -> tuple[list[int], list[int]]:
    train, test = (split.images[:, 0, 0, 0].tolist() for split in (data.train, data.test))
    return train, test


def test_images_in_folders_within_a_class_are_of_that_class(tmp_path: Path) -> None:
    root = fill(tmp_path, "train/a", "train/a/more/deep", "train/b/images", "test/a", "test/b")
    data = load_folder(root)
    assert greys(data) == ([0, 1, 20, 21, 40, 41], [60, 61, 80, 81])
    assert data.train.labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert data.notes == ()


@pytest.mark.parametrize(
    ("name", "form"),
    [("x.jfif", "JPEG"), ("x.JPE", "JPEG"), ("x.pbm", "PPM"), ("x.pnm", "PPM"), ("x.avif", "AVIF"), ("x.apng", "PNG")],
)
def test_images_are_known_by_all_their_usual_endings(tmp_path: Path, name: str, form: str) -> None:
    root = fill(tmp_path, "train/a", "train/b", "test/a", "test/b")
    Image.new("L", (32, 32), 255).save(root / "train" / "a" / name, form)
    assert len(load_folder(root).train) == 5


def test_what_is_passed_over_is_counted_with_its_reason(tmp_path: Path) -> None:
    root = fill(tmp_path, "a", "b", images=3)
    for name in ("a/notes.txt", "a/photo.heic", "b/other.heic", "a/.hidden.png", "top.csv"):
        (root / name).write_text("x")
    os.mkfifo(root / "a" / "pipe.png")
    fill(root / ".thumbs", ".")
    (root / "a" / "back").symlink_to(root / "a")
    (note,) = load_folder(root).notes
    assert note == (
        "passed over: 4 not named like an image (.csv, .heic, .txt), 2 hidden, 1 neither a file nor a folder, "
        "1 symbolic links, not followed"
    )


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "val"), ("Train", "Test"), ("Training", "Testing"), ("TRAIN", "Validation"), ("train", "valid")],
)
def test_the_two_splits_have_many_names(tmp_path: Path, train: str, test: str) -> None:
    root = fill(tmp_path, f"{train}/a", f"{train}/b", f"{test}/a", f"{test}/b")
    assert greys(load_folder(root)) == ([0, 1, 20, 21], [40, 41, 60, 61])


def test_of_two_that_test_the_labelled_one_does_and_test_before_val(tmp_path: Path) -> None:
    root = fill(tmp_path, "train/a", "train/b", "val/a", "val/b", "test/a", "test/b", "extra")
    data = load_folder(root)
    assert greys(data)[1] == [80, 81, 100, 101]
    assert data.notes == ("passed over the folder extra, val beside train and test",)


def tiny(root: Path) -> Path:
    """Tiny ImageNet: a list in place of the class folders of val/, and a test/ without labels."""
    fill(root, "train/n01/images", "train/n02/images", "val/images", "test/images", images=3)
    (root / "train" / "n01" / "n01_boxes.txt").write_text("0.png\t0\t0\t31\t31\n")
    boxes = "\t0\t0\t31\t31\n"
    (root / "val" / "val_annotations.txt").write_text(f"1.png\tn01{boxes}0.png\tn02{boxes}2.png\tn01{boxes}")
    return root


def test_tiny_imagenet_is_read_with_the_labels_of_its_list(tmp_path: Path) -> None:
    data = load_folder(tiny(tmp_path))
    assert data.classes == ("n01", "n02")
    assert greys(data) == ([0, 1, 2, 20, 21, 22], [41, 42, 40])
    assert data.test.labels.tolist() == [0, 0, 1]
    assert data.notes[0] == "passed over the folder test beside train and val"


def test_the_list_of_tiny_imagenet_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    dataset = ImageFolder(root=str(tiny(tmp_path)))
    before = dataset.fingerprint(HERE)
    os.utime(tmp_path / "val" / "val_annotations.txt", (0, 0))
    assert dataset.fingerprint(HERE) != before


@pytest.mark.parametrize("line", ["../../x.png\tn01", "0.png", "0.png\t", "notes.txt\tn01", "0.png\tn03"])
def test_a_list_that_makes_no_sense_is_one_sentence(tmp_path: Path, line: str) -> None:
    (tiny(tmp_path) / "val" / "val_annotations.txt").write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"annotations.txt line 1|'n03' is in val/"):
        load_folder(tmp_path)


@pytest.mark.parametrize("place", ["a", "b/9.png", "b/more"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, place: str) -> None:
    root = fill(tmp_path, "b", "c")
    (root / place).symlink_to(tmp_path / "not-mounted")
    with pytest.raises(DataError, match=f"{place}.* leads nowhere"):
        load_folder(root)
    with pytest.raises(DataError, match="leads nowhere"):
        ImageFolder(root=str(root)).fingerprint(HERE)


def test_links_that_lead_somewhere_are_followed_and_none_in_circles(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "a", "b")
    (tmp_path / "set").mkdir()
    for name in "ab":
        (tmp_path / "set" / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere" / "a" / "round").symlink_to(tmp_path / "elsewhere" / "a")
    data = load_folder(tmp_path / "set")
    assert len(data.train) + len(data.test) == 4


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["train/a", "train/b", "dev/a"], "none to go with it: .* called test or testing or val"),
        (["val/a", "val/b"], "class folders in val/ and none to go with it: .* called train or training"),
        (["train/a", "Training/a", "test/a"], "has both train/ and Training/"),
        (["train/a", "train/b", "test/images"], "at least two: found only 'images'"),
    ],
)
def test_layouts_that_say_too_little_or_too_much_are_one_sentence(
    tmp_path: Path, folders: list[str], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        load_folder(fill(tmp_path, *folders))


def test_a_pipe_with_the_name_of_an_image_is_not_waited_for(tmp_path: Path) -> None:
    root = tiny(tmp_path)
    (root / "val" / "val_annotations.txt").unlink()
    os.mkfifo(root / "val" / "val_annotations.txt")
    with pytest.raises(DataError, match="at least two"):
        load_folder(root)
    os.mkfifo(tmp_path / "listed.png")
    (root / "val" / "val_annotations.txt").unlink()
    (root / "val" / "images" / "0.png").unlink()
    (root / "val" / "images" / "0.png").symlink_to(tmp_path / "listed.png")
    (root / "val" / "val_annotations.txt").write_text("0.png\tn01\n1.png\tn02\n")
    with pytest.raises(DataError, match=r"0.png is not a usable image .it is not a regular file"):
        load_folder(root)


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    root = fill(tmp_path, "a", "b")
    os.truncate(root / "a" / "0.png", 2**40)
    with pytest.raises(DataError, match=r"0.png is not a usable image \(it has 1,099,511,627,776 bytes"):
        load_folder(root)
