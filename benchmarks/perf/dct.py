"""How fast the 2-D DCT is: `python benchmarks/perf/dct.py [--json PATH]`.

Times benchkit.ops.frequency.dct2 against scipy on the same uint8 images, every way in the same process and in turn, so
that a busy machine slows all of them alike. Each makes float32 coefficients of all images in one new array. Wall time
is the median over repetitions, CPU time (all threads) stands beside it. The ways:

  ours          benchkit.ops.frequency.dct2
  batched       scipy.fft.dctn over the whole batch, float32, workers=THREADS
  image loop    scipy.fft.dctn(image) for each image (C, H, W), float32
  channel loop  scipy.fftpack.dct twice for each channel of each image, as Zeng et al. (ICCV 2021) publish it

The loops are timed on a share of the images and scaled up; they use one thread in every row.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.fft
import scipy.fftpack
import torch
from _perf import Figure

from benchkit.ops.frequency import dct2

IMAGES = {32: 1000, 64: 250, 224: 32}
WAYS = ("ours", "batched", "image loop", "channel loop")


def batched(images: np.ndarray, threads: int) -> np.ndarray:
    """Transform all images in one call."""
    made: np.ndarray = scipy.fft.dctn(images.astype(np.float32), axes=(-2, -1), norm="ortho", workers=threads)
    return made


def image_loop(images: np.ndarray) -> np.ndarray:
    """Transform image by image."""
    out = np.empty(images.shape, np.float32)
    for index, image in enumerate(images):
        out[index] = scipy.fft.dctn(image.astype(np.float32), axes=(-2, -1), norm="ortho")
    return out


def channel_loop(images: np.ndarray) -> np.ndarray:
    """Transform channel by channel, one axis after the other."""
    out = np.empty(images.shape, np.float32)
    for index, image in enumerate(images):
        for channel, plane in enumerate(image):
            out[index, channel] = scipy.fftpack.dct(scipy.fftpack.dct(plane.T, norm="ortho").T, norm="ortho")
    return out


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU milliseconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def measure(side: int, count: int, threads: int, repetitions: int) -> dict[str, Any]:
    """Time every way at one size; return milliseconds for all images, ratios and the error."""
    images = torch.randint(256, (count, 3, side, side), dtype=torch.uint8)
    array, share = images.numpy(), max(1, count // 10)
    works = dict(
        zip(
            WAYS,
            (
                lambda: dct2(images),
                lambda: batched(array, threads),
                lambda: image_loop(array[:share]),
                lambda: channel_loop(array[:share]),
            ),
            strict=True,
        )
    )
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for turn in range(repetitions + 1):
        for way, work in works.items():
            scale = count / share if "loop" in way else 1
            wall, cpu = timed(work)
            if turn:  # the first one warms up
                taken[way].append((wall * scale, cpu * scale))
    middle = {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in taken.items()}
    exact = scipy.fft.dctn(array[:16].astype(np.float64), axes=(-2, -1), norm="ortho")
    return {
        "side": side,
        "images": count,
        "threads": threads,
        "wall_ms": {way: round(wall, 3) for way, (wall, _) in middle.items()},
        "cpu_ms": {way: round(cpu, 3) for way, (_, cpu) in middle.items()},
        "best_ms": {way: round(min(wall for wall, _ in rows), 3) for way, rows in taken.items()},
        "relative_error": float(np.abs(dct2(images[:16]).numpy() - exact).max() / np.abs(exact).max()),
    }


def figures(quick: bool) -> list[Figure]:
    """Measure 50,000 images of 32 x 32 with as many threads as torch has now; see run.py."""
    count, repetitions = (100, 1) if quick else (50_000, 3)
    measured = measure(32, count, torch.get_num_threads(), repetitions)
    wall, cpu, goals = measured["wall_ms"], measured["cpu_ms"], {"image loop": 20}
    found = []
    for way in WAYS[1:]:
        against = f"scipy, {way}" + (" (a tenth, scaled)" if "loop" in way else "")
        ratio, cpu_ratio = (times[way] / times["ours"] for times in (wall, cpu))
        seconds = (wall["ours"] / 1000, wall[way] / 1000)
        what = f"DCT of {count:,} images"
        found.append(Figure(what, against, *seconds, ratio, cpu_ratio, ratio, goal=goals.get(way)))
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Lay the rows out: medians in ms (CPU time in brackets) and how many times longer than ours each takes."""
    lines = [f"{'size':>5} {'images':>6} {'threads':>7} " + " ".join(f"{way:>24}" for way in WAYS) + "   error"]
    for row in rows:
        wall, cpu = row["wall_ms"], row["cpu_ms"]
        cells = [f"{wall[way]:.1f} ms ({cpu[way]:.1f}) {wall[way] / wall['ours']:5.2f}x" for way in WAYS]
        head = f"{row['side']:>5} {row['images']:>6} {row['threads']:>7} "
        lines.append(head + " ".join(f"{cell:>24}" for cell in cells) + f"   {row['relative_error']:.1e}")
    return "\n".join(lines)


def main() -> None:
    """Print the table; write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=list(IMAGES), help="image sizes")
    parser.add_argument("--images", type=int, help="images of each size (default: 1000 of 32, 250 of 64, 32 of 224)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures there")
    asked = parser.parse_args()
    rows = []
    for threads in asked.threads:
        torch.set_num_threads(threads)
        for side in asked.sides:
            count = asked.images or IMAGES.get(side, max(1, 1_000_000 // side**2))
            rows.append(measure(side, count, threads, asked.repetitions))
    print(table(rows))
    if asked.json:
        about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        asked.json.write_text(json.dumps({**about, "scipy": scipy.__version__, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
