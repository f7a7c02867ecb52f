"""Fixtures of several test modules: a place with a diary and accidents, small disks, and folders to scan."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, Ran
from places import TESTS, Place
from scanned_models import network, normalised, scanner


@pytest.fixture
def place(tmp_path: Path, benchkit_cli: Cli) -> Iterator[Place]:
    """Return an empty place; no run outlives the test."""
    made = Place(tmp_path, benchkit_cli)
    yield made
    made.end()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts a small tmpfs with these options somewhere; it is unmounted afterwards."""
    mounts = []

    def make(options: str, where: Path | None = None) -> Path:
        mount = where or tmp_path / "mount"
        mount.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(mount)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a tmpfs needs privileges")
        mounts.append(mount)
        return mount

    yield make
    for mount in mounts:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.fixture
def remount() -> Callable[[Path, str], None]:
    """Return a function that changes the options of a mounted file system."""

    def change(mount: Path, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(mount)], check=True)

    return change


@pytest.fixture
def scan_images(benchkit_cli: Cli, tmp_path: Path) -> Cli:
    """Return a function that scans with the toy plugins; brightest by default."""

    def run(path: Path, *args: object, defense: str = "brightest", clean: str | None = "toy") -> Ran:
        toy, results = TESTS / "toy.py", tmp_path / "results"
        fixed = ["--defense", defense, "--device", "cpu", "-p", toy, "--results", results, "--jobs", 1]
        return benchkit_cli("scan", "images", path, *fixed, *(["--clean", clean] if clean else []), *args)

    return run


@pytest.fixture
def stamped_folder(tmp_path: Path) -> Path:
    """Return a folder of thirty dark images, three of them with a bright corner, some in folders."""
    from sample_pictures import cornered

    root = tmp_path / "mine"
    (root / "a" / "b").mkdir(parents=True)
    for number in range(30):
        where = (root, root / "a", root / "a" / "b")[number % 3]
        image = cornered(corner=(200, 220, 240)[number // 10] if number % 10 == 7 else None)
        image.save(where / f"{number:02d}.png")
    return root


@pytest.fixture
def scan_model(benchkit_cli: Cli, tmp_path: Path) -> Cli:
    """Return a function that scans weights, or a file of them."""
    return scanner(benchkit_cli, tmp_path)


@pytest.fixture
def our_weights() -> dict[str, Any]:
    """What benchkit saves of a narrownet that knows the toy images."""
    return normalised(network()).state()


@pytest.fixture
def plain_weights() -> dict[str, Any]:
    """The state dict of the same network, without its normalisation."""
    return {name: value.contiguous() for name, value in network().state_dict().items()}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start Chromium; the test is skipped without it, or without playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the page of ``page_records``, and return where it is."""
    from page_records import made

    from benchkit.report.formats.html import to_html

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(made()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open the page at each size. A message in the console, or a request for anything else, fails the test."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda one: seen.append(one.url) if one.url.startswith("http") else None)
    page.goto(address)
    yield page
    assert seen == []
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.querySelectorAll('img[src=x], b b').length") == 0
    context.close()
