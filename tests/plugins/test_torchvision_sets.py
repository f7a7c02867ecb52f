"""The datasets in torchvision's layouts: what is read, and what is said of what is missing or damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from benchkit_plugins._shared.torchvision_sets import TorchvisionDataset
from benchkit_plugins.datasets.celeba import CelebA
from benchkit_plugins.datasets.cifar10 import Cifar10
from benchkit_plugins.datasets.cifar100 import Cifar100
from benchkit_plugins.datasets.fashion_mnist import FashionMnist
from benchkit_plugins.datasets.gtsrb import Gtsrb
from benchkit_plugins.datasets.mnist import Mnist
from benchkit_plugins.datasets.svhn import Svhn
from PIL import Image
from sample_pictures import save_even

from benchkit import DataError, Source

TORCHVISION: list[type[TorchvisionDataset]] = [Cifar10, Cifar100, Gtsrb, Mnist, FashionMnist, Svhn, CelebA]


@pytest.mark.parametrize("dataset", TORCHVISION)
def test_missing_sets_say_what_to_do(dataset: type[TorchvisionDataset], tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        dataset().load(Source(tmp_path))
    assert str(caught.value) == (
        f"{dataset.name} is not in {tmp_path}; run again with --download, or name the folder that holds it"
        " with --data-root"
    )


def fake_parts(dataset: type[TorchvisionDataset], root: Path) -> list[str]:
    parts = list(dataset().parts())
    for part in parts:
        path = root / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"damaged") if path.suffix or "batch" in part or "raw" in part else path.mkdir()
    return parts


@pytest.mark.parametrize("dataset", [Cifar10, Svhn, CelebA])
def test_wrong_checksums_name_the_file(dataset: type[TorchvisionDataset], tmp_path: Path) -> None:
    parts = [part for part in fake_parts(dataset, tmp_path) if (tmp_path / part).is_file()]
    with pytest.raises(DataError, match="MD5 is wrong") as caught:
        dataset().load(Source(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path / parts[0]} is damaged")


@pytest.mark.parametrize("dataset", [Mnist, FashionMnist])
def test_truncated_sets_without_checksums_are_damaged(dataset: type[TorchvisionDataset], tmp_path: Path) -> None:
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
    larger = Mnist(side=32).load(Source(tmp_path))
    for given, resized in zip(data.train.images, larger.train.images, strict=True):
        pillow = Image.fromarray(given[0].numpy()).resize((32, 32), Image.Resampling.BILINEAR)
        assert np.abs(np.asarray(pillow).astype(int) - resized[0].numpy()).max() <= 1
    assert larger.test.images.shape == (3, 1, 32, 32)
    write_idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.arange(5))
    with pytest.raises(DataError, match="6 images have 5 labels"):
        Mnist().load(Source(tmp_path))


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Two training images of sign 0, one of sign 7, and two test images, of odd sizes."""
    home = tmp_path / "gtsrb"
    for name, colour in (("00000/00000_00000", 10), ("00000/00001_00000", 20), ("00007/00000_00000", 70)):
        save_even(home / "GTSRB" / "Training" / f"{name}.ppm", colour, (40, 30))
    for name, colour in (("00000", 5), ("00001", 6)):
        save_even(home / "GTSRB" / "Final_Test" / "Images" / f"{name}.ppm", colour, (25, 50))
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


def test_real_gtsrb_subset(real_set: Callable[[str], Path]) -> None:
    data = Gtsrb().load(Source(real_set("gtsrb-32px-subset")))
    assert (len(data.train), len(data.test), len(data.classes)) == (6535, 3158, 43)
    assert data.train.labels.unique().tolist() == list(range(43))


def test_faces_come_with_their_attributes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"trait-{number}" for number in range(40)]
    traits = torch.randint(0, 2, (6, 40), generator=torch.Generator().manual_seed(0))
    folder = tmp_path / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    files = [f"{number}.png" for number in range(6)]
    for number, file in enumerate(files):
        Image.new("RGB", (20, 24), (number,) * 3).save(folder / file)

    class Reader:
        """What torchvision's reader holds; its header line ends with a space."""

        def __init__(self, root: Path, *, split: str, download: bool) -> None:
            self.attr, self.attr_names, self.filename = traits, [*names, ""], files

    monkeypatch.setattr("benchkit_plugins.datasets.celeba.torchvision_class", lambda _: Reader)
    data = CelebA(size=8).read(tmp_path, download=False)
    assert list(data.test.attributes) == names
    assert torch.equal(torch.stack(list(data.test.attributes.values()), 1), traits.bool())
    assert torch.equal(data.test.labels, 4 * traits[:, 18] + 2 * traits[:, 31] + traits[:, 21])
    assert data.test[1:3].attributes["trait-7"].tolist() == traits[1:3, 7].bool().tolist()
