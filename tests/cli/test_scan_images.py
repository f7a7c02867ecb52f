"""benchkit scan images, through the real entry point: what it finds, what it says, and what strangers' folders hold."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

TOY = Path(__file__).parents[1] / "toy.py"


def picture(value: int = 60, corner: int | None = None, size: int = 12, mode: str = "RGB") -> Image.Image:
    """Return an even image, perhaps with a 3 x 3 corner of another brightness."""
    image = Image.new(mode, (size, size), (value,) * 3 if mode == "RGB" else value)
    if corner is not None:
        image.paste((corner,) * 3, (size - 3, size - 3, size, size))
    return image


@pytest.fixture
def folder(tmp_path):
    """Thirty dark images, three of them with a bright corner, some in folders."""
    root = tmp_path / "mine"
    (root / "a" / "b").mkdir(parents=True)
    for number in range(30):
        where = (root, root / "a", root / "a" / "b")[number % 3]
        picture(corner=(200, 220, 240)[number // 10] if number % 10 == 7 else None).save(where / f"{number:02d}.png")
    return root


@pytest.fixture
def scan(benchkit_cli, tmp_path):
    """Return a function that scans with the toy plugins; brightest by default."""

    def run(path, *args, defense="brightest", clean="toy"):
        fixed = ["--defense", defense, "--device", "cpu", "-p", TOY, "--results", tmp_path / "results", "--jobs", 1]
        return benchkit_cli("scan", "images", path, *fixed, *(["--clean", clean] if clean else []), *args)

    return run


def told(ran) -> dict:
    return json.loads(ran.out)


def test_the_stamped_images_come_first_and_the_exit_code_says_so(scan, folder):
    ran = scan(folder, "--top", "4")
    assert ran.code == 1, ran.err
    lines = ran.out.splitlines()
    assert [line.split()[:3] for line in lines[2:5]] == [
        ["27.png", "240.000", "flagged"],
        ["a/b/17.png", "220.000", "flagged"],
        ["a/07.png", "200.000", "flagged"],
    ]
    assert "passed" in lines[5]
    assert len(lines) == 6
    assert "3 of 30 images are above the threshold" in ran.err
    assert "about 1.5 here if all were clean" in ran.err
    assert "not proven clean" in ran.err
    for file in folder.rglob("*7.png"):
        file.unlink()
    clean = scan(folder)
    assert clean.code == 0
    assert "flagged" not in clean.out


def test_json_says_what_the_scan_can_and_cannot_tell(scan, folder):
    found = told(scan(folder, "--format", "json", "--top", "2"))
    assert (found["images"], found["flagged"], found["resized"], found["lossy"]) == (30, 3, 0, 0)
    assert found["allowed_fpr"] == 0.05
    assert found["expected_false_alarms"] == pytest.approx(1.5)
    assert found["shape"] == [3, 12, 12]
    assert found["control_images"] == 30
    after = found["flagged_after"]
    assert after["as_they_are"] == pytest.approx(0.1)
    assert set(after) == {"as_they_are", "jpeg_75", "one_grey_level_of_noise", "resize"}
    assert after["one_grey_level_of_noise"] == pytest.approx(0.1)
    assert [row["file"] for row in found["top"]] == ["27.png", "a/b/17.png"]
    assert found["top"][0] == {
        "file": "27.png", "score": 240.0, "verdict": "flagged", "width": 12, "height": 12, "format": "PNG",
    }  # fmt: skip


def test_control_figures_are_measured_on_the_users_own_images(scan, tmp_path):
    root = tmp_path / "near"
    root.mkdir()
    threshold = told(scan(_one(tmp_path, picture()), "--format", "json"))["threshold"]
    for number in range(40):
        picture(value=int(threshold)).save(root / f"{number}.png")
    after = told(scan(root, "--format", "json"))["flagged_after"]
    assert after["as_they_are"] == 0
    assert 0.05 < after["one_grey_level_of_noise"] < 0.95


def _one(tmp_path: Path, image: Image.Image, name: str = "one.png") -> Path:
    root = tmp_path / "one"
    root.mkdir(exist_ok=True)
    image.save(root / name)
    return root


def test_the_second_scan_learns_nothing_and_says_the_same(scan, folder, tmp_path):
    small = "freq-detector:rounds=1"
    first = scan(folder, defense=small)
    assert first.code in (0, 1), first.err
    assert "prepare freq-detector" in first.err
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").rglob("*.safetensors")}
    assert len(before) == 2
    again = scan(folder, defense=small)
    assert "prepare" not in again.err
    assert again.out == first.out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_run_learned_serves_a_scan_and_damage_is_repaired(scan, folder, toy_run, tmp_path):
    small = "freq-detector:rounds=1"
    assert toy_run("--attacks", "none", "--defenses", small, "--no-victims", "--jobs", 1).code == 0
    first = scan(folder, defense=small)
    assert "prepare" not in first.err
    for file in (tmp_path / "results").rglob("prepare/*/tensors.safetensors"):
        os.truncate(file, 100)
    again = scan(folder, defense=small)
    assert "prepare" in again.err
    assert again.out == first.out


def test_without_clean_images_of_ones_own_it_warns(scan, tmp_path):
    ran = scan(_one(tmp_path, picture(size=32)), clean=None)
    assert ran.code in (0, 1), ran.err
    assert "learned from scenes" in ran.err
    assert "wrong about yours" in ran.err


def test_resized_and_compressed_images_are_said_to_be_unreliable(scan, tmp_path):
    root = _one(tmp_path, picture(size=40))
    picture().save(root / "two.jpg")
    picture(mode="L").save(root / "three.png")
    ran = scan(root, "--format", "json")
    found = told(ran)
    assert (found["images"], found["resized"], found["lossy"]) == (3, 1, 1)
    assert "1 of 3 images were resized to 12x12: their scores are unreliable" in ran.err
    assert "1 of 3 images are JPEG or WebP: their scores are unreliable" in ran.err
    assert sum("unreliable" in note for note in found["notes"]) == 2


def test_nothing_is_cut_away_from_images_that_are_not_square(scan, tmp_path):
    wide = Image.new("RGB", (48, 12), (60, 60, 60))
    wide.paste((255, 255, 255), (36, 9, 48, 12))
    assert scan(_one(tmp_path, wide)).code == 1


HOSTILE = [
    b"new\nline.png", b"\x1b[31mred.png", b"not-utf8-\xff\xfe.png", b"=cmd|calc.png", "right\u202eleft.png".encode(),
    b"back\\slash.png", "d\u00e9j\u00e0 vu.png".encode(),
]  # fmt: skip


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_hostile_names_are_printed_safely(scan, tmp_path, form):
    root = tmp_path / "hostile"
    root.mkdir()
    for number, name in enumerate(HOSTILE):
        picture(corner=250 - number).save(root / os.fsdecode(name), "PNG")
    ran = scan(root, "--format", form, "--sheet", tmp_path / "sheet.png")
    assert ran.code == 1, ran.err
    assert not [one for one in ran.out + ran.err if not one.isprintable() and one != "\n"]
    assert (tmp_path / "sheet.png").is_file()
    if form == "json":
        assert [os.fsencode(row["file"]) for row in told(ran)["top"]] == HOSTILE
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


def test_damaged_and_hostile_files_are_verdicts_and_the_scan_goes_on(scan, tmp_path):
    root = _one(tmp_path, picture(corner=255))
    (root / "text.png").write_text("no image")
    (root / "empty.png").touch()
    (root / "bomb.png").write_bytes(bomb(60_000, 60_000))
    (root / "warned.png").write_bytes(bomb(10_000, 10_000))
    whole = io.BytesIO()
    picture(size=200).save(whole, "JPEG")
    (root / "truncated.jpg").write_bytes(whole.getvalue()[:-400])
    Image.new("I;16", (12, 12)).save(root / "deep.png")
    (root / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (root / "folder.png").mkdir()
    picture(corner=255).save(root / "folder.png" / "inside.png")
    os.mkfifo(root / "pipe.png")
    (root / ".hidden.png").write_text("")
    (root / "notes.txt").write_text("")
    ran = scan(root, "--format", "json")
    assert ran.code == 1, ran.err
    found = told(ran)
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
    assert "unreadable: not an image" in scan(root, "--format", "csv").out


def test_links_are_not_followed_and_that_is_said_once(scan, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    picture(corner=255).save(outside / "secret.png")
    root = _one(tmp_path, picture())
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "away").symlink_to(outside)
    (root / "loop").symlink_to(root)
    ran = scan(root)
    assert ran.code == 0, ran.err
    assert "secret" not in ran.out
    assert ran.err.count("3 symbolic links were not followed") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_verdict(scan, tmp_path):
    root = _one(tmp_path, picture())
    (root / "closed").mkdir(mode=0)
    picture().save(root / "closed.png")
    (root / "closed.png").chmod(0)
    ran = scan(root)
    assert ran.code == 0, ran.err
    assert ran.out.count("Permission denied") == 2


def test_a_folder_that_vanishes_on_the_way_is_a_verdict(scan, tmp_path, monkeypatch):
    root = _one(tmp_path, picture())
    (root / "gone").mkdir()
    real = os.scandir

    def denied(path):
        if Path(path).name == "gone":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)
    ran = scan(root)
    assert ran.code == 0, ran.err
    assert "folder cannot be read (Permission denied)" in ran.out


def test_many_images_take_no_more_memory_than_a_few(scan, tmp_path):
    clean = tmp_path / "clean"
    for name in ("a", "b"):
        (clean / name).mkdir(parents=True)
        for number in range(20):
            picture(100 + number, size=64).save(clean / name / f"{number}.png")
    root = tmp_path / "many"
    root.mkdir()
    picture(size=64).save(root / "0.png")
    for number in range(1, 4000):
        (root / f"{number}.png").hardlink_to(root / "0.png")
    tracemalloc.start()
    try:
        ran = scan(root, "--format", "json", "--top", "5", clean=f"image-folder:root={clean},size=64")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert told(ran)["images"] == 4000
    assert told(ran)["control_images"] == 200
    assert peak < 25e6, "4,000 images of 64 x 64 are 49 MB: they must not be held together"


def test_the_sheet_shows_the_most_suspicious_framed_in_red(scan, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    assert scan(folder, "--top", "6", "--sheet", sheet, "--out", tmp_path / "out.csv", "--format", "csv").code == 1
    with Image.open(sheet) as drawn:
        assert drawn.size == (3 * 144, 2 * 174)
        red = [drawn.getpixel((144 * (place % 3) + 6, 174 * (place // 3) + 60))[0] for place in range(6)]
        green = [drawn.getpixel((144 * (place % 3) + 6, 174 * (place // 3) + 60))[1] for place in range(6)]
        assert drawn.getpixel((8 + 127, 8 + 127)) == (240, 240, 240)
    assert [r > g + 100 for r, g in zip(red, green, strict=True)] == [True] * 3 + [False] * 3
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 7


def test_size_is_the_clean_datasets_parameter(scan, tmp_path):
    clean = tmp_path / "clean"
    for name in ("a", "b"):
        (clean / name).mkdir(parents=True)
        for number in range(3):
            picture(100 + number).save(clean / name / f"{number}.png")
    root = _one(tmp_path, picture())
    for size, side in (("16x16", 16), ("20", 20)):
        ran = scan(root, "--size", size, "--format", "json", clean=f"image-folder:root={clean}")
        assert told(ran)["shape"] == [3, side, side]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--defense", "strip"], "needs none: freq-detector"),
        (["--defense", "fine-tuning"], "does not score images (it is: model repair)"),
        (["--defense", "neural-cleanse"], "it is: model detector"),
        (["--defense", "freq-detektor"], "did you mean 'freq-detector'"),
        (["--defense", "brightest,freq-detector"], "got 2"),
        (["--defense", "none"], "got 0"),
        (["--defense", "brightest:mode=nan"], "cutoff returned nan"),
        (["--defense", "brightest:mode=raise"], "brightest raised RuntimeError: the detector fell over"),
        (["--defense", "brightest:mode=model"], "scene.model"),
        (["--defense", "freq-detector:clean=0.001"], "needs 3 clean images"),
        (["--clean", "toyy"], "did you mean 'toy'"),
        (["--clean", "toy,scenes"], "one clean dataset, got 2"),
        (["--clean", "image-folder:root=/nowhere"], "/nowhere"),
        (["--size", "32x48"], "square"),
        (["--size", "32"], "leave --size out"),
        (["--sheet", "sheet.jpg"], "ends in .png"),
        (["--sheet", "/nowhere/sheet.png"], "no folder /nowhere"),
        (["--out", "/nowhere/out"], "no folder /nowhere"),
        (["--top", "0"], "--top"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(scan, folder, args, words):
    ran = scan(folder, *args)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_folders_with_nothing_to_scan(scan, tmp_path):
    root = tmp_path / "empty"
    root.mkdir()
    assert "there are no images" in scan(root).err
    (root / "readme.txt").touch()
    ran = scan(root)
    assert ran.code == 2
    assert "1 other files" in ran.err
    (root / "bad.png").touch()
    ran = scan(root)
    assert ran.code == 2
    assert "none of the 1 images" in ran.err
    assert scan(root / "bad.png").code == 2
    assert scan(tmp_path / "absent").code == 2


def test_the_same_seed_gives_the_same_scan(scan, tmp_path):
    root = tmp_path / "noise"
    root.mkdir()
    rng = torch.Generator().manual_seed(0)
    for number in range(210):
        pixels = torch.randint(0, 190, (12, 12, 3), generator=rng, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(root / f"{number}.png")
    first, again = (scan(root, "--format", "json", "--seed", "3").out for _ in range(2))
    assert first == again
