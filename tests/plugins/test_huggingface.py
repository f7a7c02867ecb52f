"""Datasets of the Hugging Face library, made on the spot: what is read of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchkit_plugins.datasets import huggingface
from benchkit_plugins.datasets.huggingface import HuggingFace
from PIL import Image

from benchkit import DataError, Source
from benchkit.params.build import build
from benchkit.testing import checks


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, with a cache of this test's own."""
    found = pytest.importorskip("datasets", reason="needs the extra datasets")
    monkeypatch.setattr(found.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return found


def made(library: Any, count: int, names: list[str], first: int = 0) -> Any:
    images = [Image.new("RGB", (20, 10), (first + row, 0, 0)) for row in range(count)]
    columns = {"picture": images, "kind": [row % len(names) for row in range(count)], "note": ["x"] * count}
    kinds = {"picture": library.Image(), "kind": library.ClassLabel(names=names), "note": library.Value("string")}
    return library.Dataset.from_dict(columns, features=library.Features(kinds))


@pytest.fixture
def saved(library: Any, tmp_path: Path) -> Path:
    """A folder of ``save_to_disk`` with six training images and four test images of two classes."""
    splits = {"train": made(library, 6, ["cat", "dog"]), "test": made(library, 4, ["cat", "dog"], first=100)}
    library.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_a_saved_dataset_is_read(saved: Path, tmp_path: Path) -> None:
    data = HuggingFace(repo=str(saved), size=8).load(Source(tmp_path))
    assert data.train.images.shape == (6, 3, 8, 8)
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert data.test.images[:, 0, 0, 0].tolist() == [100, 101, 102, 103]
    assert data.train.labels.tolist() == [0, 1] * 3
    assert data.classes == ("cat", "dog")
    assert HuggingFace(repo="saved", size=8, channels=1).load(Source(tmp_path)).test.images.shape == (4, 1, 8, 8)


def test_parquet_files_are_read(library: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for split, count in (("train", 6), ("test", 4)):
        made(library, count, ["cat", "dog"]).to_parquet(str(tmp_path / "files" / f"{split}.parquet"))
    data = HuggingFace(repo=str(tmp_path / "files"), size=8).load(Source(tmp_path))
    assert (len(data.train), len(data.test), data.classes) == (6, 4, ("cat", "dog"))


def test_it_conforms(saved: Path, tmp_path: Path) -> None:
    for check in checks(HuggingFace(repo=str(saved), size=8), source=Source(tmp_path)):
        check()


def test_its_fingerprint_follows_its_files(library: Any, saved: Path, tmp_path: Path) -> None:
    dataset, source = HuggingFace(repo=str(saved)), Source(tmp_path)
    before = dataset.fingerprint(source)
    splits = {"train": made(library, 7, ["cat", "dog"]), "test": made(library, 4, ["cat", "dog"])}
    library.DatasetDict(splits).save_to_disk(str(tmp_path / "other"))
    for path in (tmp_path / "other" / "train").iterdir():
        path.rename(saved / "train" / path.name)
    assert dataset.fingerprint(source) != before


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"test": "dev"}, "has no split 'dev': there are train, test"),
        ({"image": "kind"}, "name the column of type Image"),
        ({"label": "note"}, "name the column of type ClassLabel with label="),
    ],
)
def test_what_is_asked_for_has_to_be_there(saved: Path, tmp_path: Path, params: dict[str, str], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        build(HuggingFace, {"repo": str(saved), **params}).load(Source(tmp_path))


def test_nothing_is_downloaded_unless_it_may_be(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    asked: list[object] = []

    def refuse(*args: object, **_: object) -> None:
        asked.append(args)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(DataError, match="run again with --download"):
        HuggingFace(repo="someone/something").load(Source(tmp_path))
    assert not asked


def test_without_the_library_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'benchkit\[datasets\]'"):
        HuggingFace(repo="x").load(Source(tmp_path))
    with pytest.raises(DataError, match="write huggingface:repo=NAME"):
        huggingface.HuggingFace().fetch(Source(tmp_path))
