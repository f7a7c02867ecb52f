"""The built-in datasets: the embedded one, folders of images, and torchvision's layouts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from benchkit_plugins.datasets import scenes
from benchkit_plugins.datasets.celeba import CelebA
from benchkit_plugins.datasets.cifar10 import Cifar10
from benchkit_plugins.datasets.cifar100 import Cifar100
from benchkit_plugins.datasets.fashion_mnist import FashionMnist
from benchkit_plugins.datasets.gtsrb import Gtsrb
from benchkit_plugins.datasets.image_folder import ImageFolder
from benchkit_plugins.datasets.mnist import Mnist
from benchkit_plugins.datasets.svhn import Svhn
from PIL import Image
from scipy.fft import dctn

from benchkit import Data, DataError, Dataset, Source

TORCHVISION: list[type[Dataset]] = [Cifar10, Cifar100, Gtsrb, Mnist, FashionMnist, Svhn, CelebA]


@pytest.fixture(scope="module")
def rendered() -> Data:
    return scenes.Scenes().load(Source(Path("unused")))


@pytest.fixture
def real() -> Path:
    folder = os.environ.get("BENCHKIT_TEST_DATA")
    if not folder:
        pytest.skip("BENCHKIT_TEST_DATA names no folder with the real sets")
    return Path(folder)


def picture(path: Path, colour: int, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (colour,) * 3 if mode == "RGB" else colour).save(path)


def two_classes(root: Path, images: int = 3) -> Path:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for row in range(images):
                picture(root / part / name / f"{row}.png", 100 * label + row)
    return root


def load_folder(root: Path, **params: object) -> Data:
    return ImageFolder(root=str(root), **params).load(Source(Path("unused")))  # type: ignore[arg-type]


# scenes


def test_scenes_has_balanced_uint8_splits_with_names(rendered: Data) -> None:
    assert rendered.train.images.shape == (5000, 3, 32, 32)
    assert rendered.test.images.shape == (1500, 3, 32, 32)
    assert rendered.train.images.dtype == torch.uint8
    assert rendered.train.labels.dtype == torch.int64
    assert rendered.train.labels.bincount().tolist() == [500] * 10
    assert rendered.test.labels.bincount().tolist() == [150] * 10
    assert len(set(rendered.classes)) == 10
    assert rendered.classes[0] == "disc"


def test_scenes_bytes_match_the_published_hash(rendered: Data) -> None:
    assert scenes.digest(rendered) == scenes.SHA256
    assert scenes.Scenes().fingerprint(Source(Path("unused"))) == scenes.SHA256


def test_scenes_refuses_other_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "TRAIN_PER_CLASS", 20)
    with pytest.raises(DataError, match="on this machine"):
        scenes.Scenes().load(Source(Path("unused")))


def test_scenes_has_no_image_twice(rendered: Data) -> None:
    everything = torch.cat([rendered.train.images, rendered.test.images]).flatten(1)
    assert len({row.tobytes() for row in everything.numpy()}) == 6500


def test_scenes_has_the_spectrum_of_natural_images(rendered: Data) -> None:
    spectrum = dctn(rendered.test.images.numpy().astype(float), axes=(2, 3), norm="ortho")
    u, v = np.mgrid[:32, :32]
    radius, f = np.rint(np.hypot(u, v)), np.arange(1, 24)
    power = (spectrum**2).mean((0, 1))
    slope = np.polyfit(np.log10(f), np.log10([power[radius == ring].mean() for ring in f]), 1)[0]
    assert abs(slope + 2.5) < 0.6
    floor = np.abs(spectrum).mean((0, 1))
    assert floor[24, 24] == pytest.approx(3.3, rel=0.4)
    assert floor[31, 31] == pytest.approx(1.3, rel=0.3)


# image-folder


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
    picture(tmp_path / "train" / "cat" / "a.jpg", 50, (40, 60), "L")
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200
    Image.fromarray(wide).save(tmp_path / "train" / "cat" / "b.png")
    colour, grey = load_folder(tmp_path, size=16), load_folder(tmp_path, size=16, channels=1)
    assert colour.train.images.shape == (8, 3, 16, 16)
    assert grey.train.images.shape == (8, 1, 16, 16)
    assert colour.train.images[3].unique().tolist() == [50]
    assert colour.train.images[4].unique().tolist() == [200], "the centre square is cut before resizing"


def test_folder_passes_over_hidden_files_and_other_files(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    picture(root / "train" / "cat" / ".hidden.png", 0)
    picture(root / "train" / ".thumbs" / "0.png", 0)
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "list.csv").write_text("not a class")
    assert len(load_folder(root).train) == 6


def truncate(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "there is no folder"),
    "no class folders": (
        lambda root: [shutil.rmtree(root / part) for part in ("train", "test")],
        "found none",
    ),
    "one class": (
        lambda root: [shutil.rmtree(root / part / "cat") for part in ("train", "test")],
        "at least two: found only 'dog'",
    ),
    "no test": (lambda root: shutil.rmtree(root / "test"), "only one of train/ and test/"),
    "strange class": (lambda root: picture(root / "test" / "eel" / "0.png", 0), "class 'eel' is in test/"),
    "empty class": (lambda root: (root / "train" / "eel").mkdir(), "eel has no images"),
    "not an image": (
        lambda root: (root / "train" / "cat" / "1.png").write_text("x"),
        "cat/1.png is not a usable",
    ),
    "truncated": (lambda root: truncate(root / "test" / "dog" / "2.png"), "dog/2.png is not a usable image"),
    "sixteen bits": (
        lambda root: picture(root / "train" / "cat" / "0.png", 9, mode="I;16"),
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
    with pytest.raises(DataError, match=r"decompression bomb"):
        load_folder(root)


def test_folder_fingerprint_follows_the_images(tmp_path: Path) -> None:
    root = two_classes(tmp_path)
    component, source = ImageFolder(root=str(root)), Source(tmp_path)
    before = component.fingerprint(source)
    (root / "train" / "cat" / "notes.txt").write_text("no image, no change")
    assert component.fingerprint(source) == before
    os.utime(root / "train" / "cat" / "0.png", (0, 0))
    touched = component.fingerprint(source)
    picture(root / "train" / "cat" / "9.png", 3)
    assert len({before, touched, component.fingerprint(source)}) == 3


# torchvision


@pytest.mark.parametrize("dataset", TORCHVISION)
def test_missing_sets_say_what_to_do(dataset: type[Dataset], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        dataset().load(Source(tmp_path))
    assert str(caught.value) == (
        f"{dataset.name} is not in {tmp_path}; run again with --download, or name the folder that holds it"
        " with --data-root"
    )


def fake_parts(dataset: type[Dataset], root: Path) -> list[str]:
    parts = list(dataset().parts())  # type: ignore[attr-defined]
    for part in parts:
        path = root / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"damaged") if path.suffix or "batch" in part or "raw" in part else path.mkdir()
    return parts


@pytest.mark.parametrize("dataset", [Cifar10, Svhn, CelebA])
def test_wrong_checksums_name_the_file(dataset: type[Dataset], tmp_path: Path) -> None:
    parts = [part for part in fake_parts(dataset, tmp_path) if (tmp_path / part).is_file()]
    with pytest.raises(DataError, match="MD5 is wrong") as caught:
        dataset().load(Source(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / parts[0]} is damaged")


@pytest.mark.parametrize("dataset", [Mnist, FashionMnist])
def test_truncated_sets_without_checksums_are_damaged(dataset: type[Dataset], tmp_path: Path) -> None:
    fake_parts(dataset, tmp_path)
    with pytest.raises(DataError, match=f"{dataset.name} in .* is damaged"):
        dataset().load(Source(tmp_path))


def test_incomplete_sets_name_what_is_missing(tmp_path: Path) -> None:
    fake_parts(Cifar10, tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(DataError, match=r"incomplete, cifar-10-batches-py/data_batch_3 is missing"):
        Cifar10().load(Source(tmp_path))


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def test_mnist_is_read_from_its_raw_files(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("t10k", 3)):
        pixels = np.arange(count * 28 * 28).reshape(count, 28, 28) % 251
        write_idx(tmp_path / "MNIST" / "raw" / f"{part}-images-idx3-ubyte", pixels)
        write_idx(tmp_path / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte", np.arange(count))
    data = Mnist().load(Source(tmp_path))
    assert data.train.images.shape == (6, 1, 28, 28)
    assert data.train.images[0, 0, 0, :3].tolist() == [0, 1, 2]
    assert data.test.labels.tolist() == [0, 1, 2]
    write_idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.arange(5))
    with pytest.raises(DataError, match="6 images have 5 labels"):
        Mnist().load(Source(tmp_path))


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Two training images of sign 0, one of sign 7, and two test images, of odd sizes."""
    home = tmp_path / "gtsrb"
    for name, colour in (("00000/00000_00000", 10), ("00000/00001_00000", 20), ("00007/00000_00000", 70)):
        picture(home / "GTSRB" / "Training" / f"{name}.ppm", colour, (40, 30))
    for name, colour in (("00000", 5), ("00001", 6)):
        picture(home / "GTSRB" / "Final_Test" / "Images" / f"{name}.ppm", colour, (25, 50))
    (home / "GT-final_test.csv").write_text("Filename;Width;ClassId\n00001.ppm;25;7\n00000.ppm;25;0\n")
    return tmp_path


def test_gtsrb_is_resized_and_sorted(signs: Path) -> None:
    data = Gtsrb(size=16).load(Source(signs))
    assert data.train.images.shape == (3, 3, 16, 16)
    assert data.train.images[:, 0, 0, 0].tolist() == [10, 20, 70]
    assert data.train.labels.tolist() == [0, 0, 7]
    assert data.test.images[:, 0, 0, 0].tolist() == [5, 6]
    assert data.test.labels.tolist() == [0, 7]
    assert (len(data.classes), data.classes[14], data.classes[42]) == (
        43,
        "stop",
        "end of no overtaking by trucks",
    )


def test_gtsrb_fingerprint_follows_its_files(signs: Path) -> None:
    before = Gtsrb().fingerprint(Source(signs))
    assert Gtsrb().fingerprint(Source(signs)) == before
    (signs / "gtsrb" / "GTSRB" / "Training" / "00007" / "00000_00000.ppm").unlink()
    assert Gtsrb().fingerprint(Source(signs)) != before


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("File;Class\na;1\n", "needs columns"),
        ("Filename;ClassId\n00000.ppm;stop\n", "needs columns"),
        ("Filename;ClassId\n00000.ppm;43\n", "ClassId of 0 to 42"),
        ("Filename;ClassId\n", "ClassId of 0 to 42"),
        ("Filename;ClassId\n00009.ppm;3\n", "00009.ppm is missing"),
    ],
)
def test_gtsrb_refuses_wrong_answers(answers: str, message: str, signs: Path) -> None:
    (signs / "gtsrb" / "GT-final_test.csv").write_text(answers)
    with pytest.raises(DataError, match=message):
        Gtsrb().load(Source(signs))


def test_gtsrb_without_answers_is_incomplete(signs: Path) -> None:
    (signs / "gtsrb" / "GT-final_test.csv").unlink()
    with pytest.raises(DataError, match=r"GT-final_test\.csv is missing"):
        Gtsrb().load(Source(signs))


# real sets, where there are any


def test_real_gtsrb_subset(real: Path) -> None:
    data = Gtsrb().load(Source(real / "gtsrb-32px-subset"))
    assert (len(data.train), len(data.test), len(data.classes)) == (6535, 3158, 43)
    assert data.train.labels.unique().tolist() == list(range(43))


def test_real_cifar10_png_keeps_exact_pixels(real: Path) -> None:
    data = ImageFolder(root="cifar10-png-6k").load(Source(real))
    assert (len(data.train), len(data.test)) == (5085, 1017)
    assert data.classes[:2] == ("airplane", "automobile")
    first = sorted((real / "cifar10-png-6k" / "test" / "airplane").iterdir())[0]
    assert np.array_equal(data.test.images[0].permute(1, 2, 0).numpy(), np.asarray(Image.open(first)))


@pytest.mark.slow
def test_real_cifar10_jpeg(real: Path) -> None:
    data = ImageFolder(root="cifar10-jpeg").load(Source(real))
    assert data.train.labels.bincount().tolist() == [5000] * 10
    assert data.test.labels.bincount().tolist() == [1000] * 10
