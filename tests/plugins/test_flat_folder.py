"""A folder of images without labels as a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchkit_plugins.datasets.image_folder.flat_folder import FlatFolder
from sample_pictures import save_even

from benchkit import Data, DataError, Source

NOWHERE = Source(Path("unused"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_even(tmp_path / "b.png", 20)
    save_even(tmp_path / "sub" / "a.png", 30, (16, 20))
    save_even(tmp_path / "a.png", 10)
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_every_image_is_of_one_class_files_first(folder: Path) -> None:
    data: Data = FlatFolder(root=str(folder)).load(NOWHERE)
    assert data.train.images[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert data.train.images.shape == (3, 3, 32, 32)
    assert (data.train.labels.tolist(), data.classes) == ([0, 0, 0], ("image",))
    assert data.notes == ("passed over: 1 not named like an image (.txt)",)


def test_the_fingerprint_follows_the_files(folder: Path) -> None:
    before = FlatFolder(root=str(folder)).fingerprint(NOWHERE)
    assert FlatFolder(root=str(folder)).fingerprint(NOWHERE) == before
    save_even(folder / "c.png", 1)
    assert FlatFolder(root=str(folder)).fingerprint(NOWHERE) != before


def test_what_is_wrong_with_it_is_one_sentence(folder: Path) -> None:
    for root in ("", str(folder / "absent")):
        with pytest.raises(DataError, match="there is no folder"):
            FlatFolder(root=root).load(NOWHERE)
    with pytest.raises(DataError, match=r"holds 1 images: name a folder of two or more"):
        FlatFolder(root=str(folder / "sub")).load(NOWHERE)
    (folder / "sub" / "b.png").symlink_to(folder / "gone.png")
    with pytest.raises(DataError, match=r"sub/b\.png: it is a link that leads nowhere: mend or remove it"):
        FlatFolder(root=str(folder)).load(NOWHERE)
    (folder / "sub" / "b.png").unlink()
    (folder / "sub" / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b\.png is not a usable image"):
        FlatFolder(root=str(folder)).load(NOWHERE)
