"""benchkit scan images on folders of strangers: hostile names, damaged files, links, too many images, and none."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixture_types import Cli
from PIL import Image
from sample_pictures import cornered, folder_of_one

HOSTILE = [
    b"new\nline.png", b"\x1b[31mred.png", b"not-utf8-\xff\xfe.png", b"=cmd|calc.png", "right\u202eleft.png".encode(),
    b"back\\slash.png", "d\u00e9j\u00e0 vu.png".encode(),
]  # fmt: skip


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_hostile_names_are_printed_safely(scan_images: Cli, tmp_path: Path, form: str) -> None:
    root = tmp_path / "hostile"
    root.mkdir()
    for number, name in enumerate(HOSTILE):
        cornered(corner=250 - number).save(root / os.fsdecode(name), "PNG")
    ran = scan_images(root, "--format", form, "--sheet", tmp_path / "sheet.png")
    assert ran.code == 1, ran.err
    assert not [one for one in ran.out + ran.err if not one.isprintable() and one != "\n"]
    assert (tmp_path / "sheet.png").is_file()
    if form == "json":
        assert [os.fsencode(row["file"]) for row in json.loads(ran.out)["top"]] == HOSTILE
        return
    assert "new\\nline.png" in ran.out
    assert "\\x1b[31mred.png" in ran.out
    assert "not-utf8-\\xff\\xfe.png" in ran.out
    assert "right\\u202eleft.png" in ran.out
    assert "back\\\\slash.png" in ran.out
    assert "d\u00e9j\u00e0 vu.png" in ran.out
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(ran.out)))
        assert len(rows) == len(HOSTILE)
        assert rows[3]["file"] == "./=cmd|calc.png"


def bomb(width: int, height: int) -> bytes:
    """Return a PNG header that promises an image far larger than the file."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def test_damaged_and_hostile_files_are_verdicts_and_the_scan_goes_on(scan_images: Cli, tmp_path: Path) -> None:
    root = folder_of_one(tmp_path, cornered(corner=255))
    (root / "text.png").write_text("no image")
    (root / "empty.png").touch()
    (root / "bomb.png").write_bytes(bomb(60_000, 60_000))
    (root / "warned.png").write_bytes(bomb(10_000, 10_000))
    whole = io.BytesIO()
    cornered(size=200).save(whole, "JPEG")
    (root / "truncated.jpg").write_bytes(whole.getvalue()[:-400])
    Image.new("I;16", (12, 12)).save(root / "deep.png")
    (root / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (root / "folder.png").mkdir()
    cornered(corner=255).save(root / "folder.png" / "inside.png")
    os.mkfifo(root / "pipe.png")
    (root / ".hidden.png").write_text("")
    (root / "notes.txt").write_text("")
    ran = scan_images(root, "--format", "json")
    assert ran.code == 1, ran.err
    found = json.loads(ran.out)
    assert sorted(row["file"] for row in found["top"]) == ["folder.png/inside.png", "one.png"]
    why = {row["file"]: row["why"] for row in found["unreadable_files"]}
    assert set(why) == {
        "text.png", "empty.png", "bomb.png", "warned.png", "truncated.jpg", "deep.png", "script.png",
    }  # fmt: skip
    assert why["text.png"] == why["script.png"] == "not an image"
    assert "pixels" in why["bomb.png"]
    assert "pixels" in why["warned.png"]
    assert "truncated" in why["truncated.jpg"]
    assert "8 bits" in why["deep.png"]
    assert (found["unreadable"], found["other_files"]) == (7, 3)
    assert "7 could not be read" in ran.err
    assert "unreadable: not an image" in scan_images(root, "--format", "csv").out


def test_links_are_not_followed_and_that_is_said_once(scan_images: Cli, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    cornered(corner=255).save(outside / "secret.png")
    root = folder_of_one(tmp_path, cornered())
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "away").symlink_to(outside)
    (root / "loop").symlink_to(root)
    ran = scan_images(root)
    assert ran.code == 0, ran.err
    assert "secret" not in ran.out
    assert ran.err.count("3 symbolic links, not followed") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_verdict(scan_images: Cli, tmp_path: Path) -> None:
    root = folder_of_one(tmp_path, cornered())
    (root / "closed").mkdir(mode=0)
    cornered().save(root / "closed.png")
    (root / "closed.png").chmod(0)
    ran = scan_images(root)
    assert ran.code == 0, ran.err
    assert ran.out.count("Permission denied") == 2


def test_a_folder_that_vanishes_on_the_way_is_a_verdict(
    scan_images: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder_of_one(tmp_path, cornered())
    (root / "gone").mkdir()
    real = os.scandir

    def denied(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "gone":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)
    ran = scan_images(root)
    assert ran.code == 0, ran.err
    assert "folder cannot be read (Permission denied)" in ran.out


def test_many_images_take_no_more_memory_than_a_few(scan_images: Cli, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    for name in ("a", "b"):
        (clean / name).mkdir(parents=True)
        for number in range(20):
            cornered(100 + number, size=64).save(clean / name / f"{number}.png")
    root = tmp_path / "many"
    root.mkdir()
    cornered(size=64).save(root / "0.png")
    for number in range(1, 4000):
        (root / f"{number}.png").hardlink_to(root / "0.png")
    tracemalloc.start()
    try:
        ran = scan_images(root, "--format", "json", "--top", "5", clean=f"image-folder:root={clean},size=64")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert json.loads(ran.out)["images"] == 4000
    assert json.loads(ran.out)["control_images"] == 200
    assert peak < 25e6, "4,000 images of 64 x 64 are 49 MB: they must not be held together"


def test_folders_with_nothing_to_scan(scan_images: Cli, tmp_path: Path) -> None:
    root = tmp_path / "empty"
    root.mkdir()
    assert "there are no images" in scan_images(root).err
    assert not (tmp_path / "results").exists(), "nothing is prepared for a folder without images"
    (root / "readme.txt").touch()
    ran = scan_images(root)
    assert ran.code == 2
    assert "passed over: 1 not named like an image (.txt)" in ran.err
    (root / "bad.png").touch()
    ran = scan_images(root)
    assert ran.code == 2
    assert "none of the 1 images" in ran.err
    assert scan_images(root / "bad.png").code == 2
    assert scan_images(tmp_path / "absent").code == 2
