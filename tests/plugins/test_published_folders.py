"""Imagenette and Tiny ImageNet: what is read of small folders in the layouts of their archives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchkit_plugins.datasets.imagenette import CLASSES, Imagenette
from benchkit_plugins.datasets.tiny_imagenet import TinyImagenet
from sample_pictures import save_even

from benchkit import DataError, Source
from benchkit.testing import checks

WNIDS = ("n02", "n01", "n03")


@pytest.fixture
def imagenette(tmp_path: Path) -> Path:
    """Two training images and one test image of each class, of odd sizes."""
    for level, name in enumerate(CLASSES):
        for number in (2, 1):
            save_even(tmp_path / "imagenette2-160" / "train" / name / f"{number}.JPEG", 10 * level + number, (40, 30))
        save_even(tmp_path / "imagenette2-160" / "val" / name / "0.JPEG", 100 + level, (30, 40))
    return tmp_path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Two training images of each of three classes, and three test images in another order."""
    home = tmp_path / "tiny-imagenet-200"
    for level, name in enumerate(WNIDS):
        for number in (1, 0):
            save_even(home / "train" / name / "images" / f"{name}_{number}.JPEG", 50 * level + number, (64, 64))
        save_even(home / "val" / "images" / f"val_{level}.JPEG", 200 + level, (64, 64))
    (home / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (home / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tbullfrog\nn99\tother\n")
    lines = [f"val_{level}.JPEG\t{name}\t0\t0\t9\t9" for level, name in enumerate(WNIDS)]
    (home / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_imagenette_is_read_by_class_and_name(imagenette: Path) -> None:
    data = Imagenette(size=16).load(Source(imagenette))
    assert data.train.images.shape == (20, 3, 16, 16)
    assert data.train.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert data.train.images[:4, 0, 0, 0].tolist() == pytest.approx([1, 2, 11, 12], abs=1)
    assert data.test.images[:, 0, 0, 0].tolist() == pytest.approx(list(range(100, 110)), abs=1)
    assert (data.classes[0], data.classes[9]) == ("tench", "parachute")


def test_an_empty_class_of_imagenette_is_refused(imagenette: Path) -> None:
    shutil.rmtree(imagenette / "imagenette2-160" / "val" / "n03445777")
    with pytest.raises(DataError, match="n03445777 has no images"):
        Imagenette(size=16).load(Source(imagenette))
    with pytest.raises(DataError, match="run again with --download"):
        Imagenette(archive="full").load(Source(imagenette))


def test_tiny_imagenet_is_read_in_the_order_of_its_numbers(tiny: Path) -> None:
    data = TinyImagenet().load(Source(tiny))
    assert data.train.images.shape == (6, 3, 64, 64)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.train.images[:, 0, 0, 0].tolist() == pytest.approx([50, 51, 0, 1, 100, 101], abs=1)
    assert data.test.labels.tolist() == [1, 0, 2]
    assert data.test.images[:, 0, 0, 0].tolist() == pytest.approx([200, 201, 202], abs=1)
    assert data.classes == ("goldfish (n01)", "bullfrog (n02)", "n03")


@pytest.mark.parametrize("line", ["val_0.JPEG", "val_0.JPEG\tn77", "../val_0.JPEG\tn01"])
def test_tiny_imagenet_refuses_a_wrong_list(tiny: Path, line: str) -> None:
    (tiny / "tiny-imagenet-200" / "val" / "val_annotations.txt").write_text(line + "\n")
    with pytest.raises(DataError, match="line 1 is not an image and a class"):
        TinyImagenet().load(Source(tiny))


def test_tiny_imagenet_refuses_a_class_without_images(tiny: Path) -> None:
    shutil.rmtree(tiny / "tiny-imagenet-200" / "train" / "n02")
    with pytest.raises(DataError, match="n02/images has no"):
        TinyImagenet().load(Source(tiny))


def test_both_conform(imagenette: Path, tiny: Path) -> None:
    for dataset, root in ((Imagenette(size=16), imagenette), (TinyImagenet(size=16), tiny)):
        for check in checks(dataset, source=Source(root)):
            check()
