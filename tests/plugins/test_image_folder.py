"""Folders of images as a dataset: what is read of them, and what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchkit_plugins.datasets.image_folder.image_folder import ImageFolder
from PIL import Image
from sample_pictures import save_even

from benchkit import Data, DataError, Source


def two_classes(root: Path, images: int = 3) -> Path:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for row in range(images):
                save_even(root / part / name / f"{row}.png", 100 * label + row)
    return root


def load_folder(root: Path, **params: Any) -> Data:
    return ImageFolder(root=str(root), **params).load(Source(Path("unused")))


def test_folder_with_two_parts_keeps_exact_pixels_and_sorted_order(tmp_path: Path) -> None:
    data = load_folder(two_classes(tmp_path))
    assert data.classes == ("cat", "dog")
    assert data.train.images.shape == (6, 3, 32, 32)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]


def test_folder_channels_stay_in_rgb_order(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    two_classes(tmp_path)
    Image.fromarray(pixels).save(tmp_path / "train" / "cat" / "0.png")
    assert np.array_equal(load_folder(tmp_path).train.images[0].numpy(), pixels.transpose(2, 0, 1))


def test_one_folder_is_split_per_class_and_always_the_same_way(tmp_path: Path) -> None:
    root = two_classes(tmp_path, images=10) / "train"
    data, again = load_folder(root, test_share=0.3), load_folder(root, test_share=0.3)
    assert data.train.labels.bincount().tolist() == [7, 7]
    assert data.test.labels.bincount().tolist() == [3, 3]
    assert torch.equal(data.test.images, again.test.images)
    shown = torch.cat([data.train.images, data.test.images])[:, 0, 0, 0].tolist()
    assert sorted(shown) == [*range(10), *range(100, 110)]


def test_folder_root_is_also_looked_for_beneath_the_data_root(tmp_path: Path) -> None:
    two_classes(tmp_path / "mine")
    data = ImageFolder(root="mine").load(Source(tmp_path))
    assert len(data.train) == 6


def test_folder_converts_modes_and_sizes(tmp_path: Path) -> None:
    two_classes(tmp_path)
    save_even(tmp_path / "train" / "cat" / "a.jpg", 50, (40, 60), "L")
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    Image.fromarray(wide).save(tmp_path / "train" / "cat" / "b.png")
    colour, grey = load_folder(tmp_path, size=16), load_folder(tmp_path, size=16, channels=1)
    assert colour.train.images.shape == (8, 3, 16, 16)
    assert grey.train.images.shape == (8, 1, 16, 16)
    assert colour.train.images[3].unique().tolist() == [50]
    assert colour.train.images[4, 0, :, [0, -1]].eq(0).all(), "nothing is cut away: a corner may hold a trigger"
    assert colour.train.images[4, 0, :, 7:9].eq(200).all()


def test_folder_passes_over_hidden_files_and_other_files(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    save_even(root / "train" / "cat" / ".hidden.png", 0)
    save_even(root / "train" / ".thumbs" / "0.png", 0)
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "list.csv").write_text("not a class")
    assert len(load_folder(root).train) == 6


def truncate(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])


def remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "there is no folder"),
    "no class folders": (
        lambda root: remove(root / "train", root / "test"),
        "found none",
    ),
    "one class": (
        lambda root: remove(root / "train" / "cat", root / "test" / "cat"),
        "at least two: found only 'dog'",
    ),
    "no test": (lambda root: shutil.rmtree(root / "test"), "has class folders in train/ and none to go with it"),
    "strange class": (lambda root: save_even(root / "test" / "eel" / "0.png", 0), "class 'eel' is in test/"),
    "empty class": (lambda root: (root / "train" / "eel").mkdir(), "eel has no images"),
    "not an image": (
        lambda root: (root / "train" / "cat" / "1.png").write_text("x"),
        "cat/1.png is not a usable",
    ),
    "truncated": (lambda root: truncate(root / "test" / "dog" / "2.png"), "dog/2.png is not a usable image"),
    "sixteen bits": (
        lambda root: save_even(root / "train" / "cat" / "0.png", 9, mode="I;16"),
        "more than 8 bits",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_folder_faults_are_one_sentence(fault: str, tmp_path: Path) -> None:
    root = two_classes(tmp_path / "set")
    damage, message = FAULTS[fault]
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        load_folder(root)
    assert "\n" not in str(caught.value)


def test_folder_of_single_images_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class 'cat' has one image"):
        load_folder(two_classes(tmp_path, images=1) / "train")


def test_folder_without_root_says_how_to_name_it() -> None:
    with pytest.raises(DataError, match="image-folder:root=PATH"):
        ImageFolder().load(Source(Path("unused")))


def test_folder_refuses_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = two_classes(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(DataError, match=r"more than 500 pixels"):
        load_folder(root)


def test_folder_fingerprint_follows_the_images(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    component, source = ImageFolder(root=str(root)), Source(tmp_path)
    before = component.fingerprint(source)
    (root / "train" / "cat" / "notes.txt").write_text("no image, no change")
    assert component.fingerprint(source) == before
    os.utime(root / "train" / "cat" / "0.png", (0, 0))
    touched = component.fingerprint(source)
    save_even(root / "train" / "cat" / "9.png", 3)
    assert len({before, touched, component.fingerprint(source)}) == 3


def test_real_cifar10_png_keeps_exact_pixels(real_set: Callable[[str], Path]) -> None:
    root = real_set("cifar10-png-6k")
    data = load_folder(root)
    assert (len(data.train), len(data.test)) == (5085, 1017)
    assert data.classes[:2] == ("airplane", "automobile")
    first = min((root / "test" / "airplane").iterdir())
    assert np.array_equal(data.test.images[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(first)))


@pytest.mark.slow
def test_real_cifar10_jpeg(real_set: Callable[[str], Path]) -> None:
    data = load_folder(real_set("cifar10-jpeg"))
    assert data.train.labels.bincount().tolist() == [5000] * 10
    assert data.test.labels.bincount().tolist() == [1000] * 10


def test_files_that_change_places_within_a_second_are_other_images(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    cat, dog = root / "train" / "cat" / "0.png", root / "train" / "dog" / "0.png"
    dog.write_bytes(cat.read_bytes()[:-1] + b"x")
    for file, moment in ((cat, 1_000_000_000_000_000_001), (dog, 1_000_000_000_000_000_002)):
        os.utime(file, ns=(moment, moment))
    dataset = ImageFolder(root=str(root))
    before = dataset.fingerprint(Source(Path("unused")))
    cat.rename(tmp_path / "spare")
    dog.rename(cat)
    (tmp_path / "spare").rename(dog)
    assert dataset.fingerprint(Source(Path("unused"))) != before


def test_photographs_stand_upright(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:4] = 255  # the camera's top
    turned = Image.Exif()
    turned[0x0112] = 6  # which is the right side of what it saw
    Image.fromarray(pixels).save(root / "train" / "cat" / "0.png", exif=turned)
    image = load_folder(root).train.images[0, 0]
    assert image[:, -4:].eq(255).all()
    assert image[:, :-4].eq(0).all()
