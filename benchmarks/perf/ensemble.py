"""How many small models are trained in a second: `python benchmarks/perf/ensemble.py [--json PATH] [--plot PATH]`.

Trains the CIFAR-10 network of Xu et al. (IEEE S&P 2021, Meta Neural Analysis) on sets of random images, one set for
each model, as a meta-analysis trains its thousands of shadow models. The ways:

  plain         one model after the other in float32, as published code does it: a loop over shuffled batches, Adam
  plain, N      the same with N threads
  fit_many      benchkit.ensemble.fit_many in one process
  per core      the same in one process on each core, each with one thread (on a CPU only)
  stacked K     fit_many with K models as one batched computation

All ways take their turns in every repetition, so that a busy machine slows all of them alike. What is reported is the
median over repetitions of a way's models per second as a ratio to `plain` in the same repetition, and, on a CPU, the
ratio of the CPU time (all threads and processes) of a model, which other jobs on the machine change less.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchkit.ensemble import fit_many
from benchkit.nets import MntdCnn
from benchkit.recipes import Mntd
from benchkit.scene import Split
from benchkit.train import Trainer

Work = Callable[[range], None]
"""Trains the models of these numbers."""


def split(number: int, images: int) -> Split:
    """Return the training set of one model."""
    rng = torch.Generator().manual_seed(number)
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=rng)
    return Split(pixels, torch.randint(10, (images,), generator=rng))


def network() -> MntdCnn:
    """Return the network of every way, untrained."""
    return MntdCnn(10, 3, (32, 32))


def plain(numbers: range, images: int, epochs: int, device: str, threads: int = 1) -> None:
    """Train one model after the other, in float32."""
    torch.set_num_threads(threads)
    for number in numbers:
        data, net = split(number, images).to(device), network().to(device)
        pixels, optimizer = data.images / 255, torch.optim.Adam(net.parameters(), 1e-3)
        for _ in range(epochs):
            for rows in torch.randperm(images, device=device).split(100):
                loss = F.cross_entropy(net(pixels[rows]), data.labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    torch.set_num_threads(1)


def ours(numbers: range, images: int, epochs: int, device: str, stacked: int | None = None) -> None:
    """Train the models with fit_many."""
    trainer = Trainer(Mntd(epochs=epochs), network, torch.device(device))
    rngs = [torch.Generator().manual_seed(number) for number in numbers]
    fit_many(trainer, [split(number, images) for number in numbers], rngs, stacked=stacked)


def per_core(numbers: range, images: int, epochs: int, pool: Pool, cores: int) -> None:
    """Train the models with fit_many in a pool of processes, each its share."""
    parts = [numbers[core::cores] for core in range(cores)]
    pool.map(partial(ours, images=images, epochs=epochs, device="cpu"), parts, chunksize=1)


def one_thread() -> None:
    """Leave the other cores to the other processes."""
    torch.set_num_threads(1)


def spent() -> float:
    """Return the CPU seconds of this process and of its living children, which are those of the pool."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return mine.ru_utime + mine.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def timed(work: Work, models: int, cuda: bool) -> tuple[float, float]:
    """Return wall and CPU seconds for one model."""
    wall, cpu = time.perf_counter(), spent()
    work(range(models))
    if cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - wall) / models, (spent() - cpu) / models


def ways(asked: argparse.Namespace, pool: Pool | None) -> dict[str, tuple[Work, int]]:
    """Return what is timed, and how many models each way trains in a repetition."""
    sizes = {"images": asked.images, "epochs": asked.epochs}
    here = {**sizes, "device": asked.device}
    found: dict[str, tuple[Work, int]] = {"plain": (partial(plain, **here), asked.models)}
    if asked.threads > 1:
        found[f"plain, {asked.threads} threads"] = (partial(plain, **here, threads=asked.threads), asked.models)
    found["fit_many"] = (partial(ours, **here), asked.models)
    if pool is not None:
        found["per core"] = (partial(per_core, **sizes, pool=pool, cores=asked.cores), asked.models * asked.cores)
    for count in asked.stacked:
        found[f"stacked {count}"] = (partial(ours, **here, stacked=count), max(asked.models, count))
    return found


def measure(asked: argparse.Namespace, pool: Pool | None) -> list[dict[str, Any]]:
    """Time every way in turn; return seconds for one model, and ratios to the plain loop."""
    works = ways(asked, pool)
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in works}
    for turn in range(asked.repetitions + 1):
        for way, (work, models) in works.items():
            found = timed(work, models, asked.device != "cpu")
            if turn:  # the first one warms up
                taken[way].append(found)
    return [row(way, works[way][1], taken[way], taken["plain"]) for way in works]


def row(way: str, models: int, taken: list[tuple[float, float]], base: list[tuple[float, float]]) -> dict[str, Any]:
    """Return one way's medians; ratios are taken within each repetition."""
    pairs = list(zip(taken, base, strict=True))
    return {
        "way": way,
        "models": models,
        "seconds_per_model": statistics.median(wall for wall, _ in taken),
        "cpu_seconds_per_model": statistics.median(cpu for _, cpu in taken),
        "times_plain": statistics.median(their[0] / own[0] for own, their in pairs),
        "times_plain_range": [f(their[0] / own[0] for own, their in pairs) for f in (min, max)],
        "times_plain_cpu": statistics.median(their[1] / own[1] for own, their in pairs),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Lay the rows out."""
    lines = [f"{'way':<18} {'models':>6} {'s/model':>9} {'CPU s/model':>12} {'x plain':>20} {'x plain, CPU':>13}"]
    for one in rows:
        (low, high), wall, cpu = one["times_plain_range"], one["seconds_per_model"], one["cpu_seconds_per_model"]
        head = f"{one['way']:<18} {one['models']:>6} {wall:>9.3f} {cpu:>12.3f}"
        ratios = f"{one['times_plain']:>6.2f} ({low:5.2f}-{high:5.2f}) {one['times_plain_cpu']:>13.2f}"
        lines.append(f"{head} {ratios}")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds per model over the number of models trained as one; the other ways are horizontal lines."""
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(5, 3.5), layout="constrained")).subplots()
    curve = {int(one["way"].split()[1]): one["seconds_per_model"] for one in rows if one["way"].startswith("stacked")}
    axes.plot(list(curve), list(curve.values()), "o-", label="stacked")
    for index, one in enumerate(one for one in rows if not one["way"].startswith("stacked")):
        axes.axhline(one["seconds_per_model"], color=f"C{index + 1}", linestyle="--", label=one["way"])
    axes.set(xscale="log", yscale="log", xlabel="models trained as one", ylabel="seconds per model")
    axes.set_xticks(list(curve), [str(count) for count in curve])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=2, help="models a way trains in a repetition (per core: each)")
    parser.add_argument("--images", type=int, default=1000, help="images each model is trained on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--stacked", help="group sizes, 1,2,4,...; default: up to 32 on a GPU, none on a CPU")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="processes of `per core`")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of `plain, N`")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures there")
    parser.add_argument("--plot", type=Path, metavar="PATH", help="also draw seconds per model (PNG)")
    asked = parser.parse_args()
    sizes = asked.stacked if asked.stacked is not None else "" if asked.device == "cpu" else "1,2,4,8,16,32"
    asked.stacked = [int(size) for size in sizes.split(",") if size]
    asked.threads = asked.threads if asked.device == "cpu" else 1
    return asked


def main() -> None:
    """Print the table; write the figures and the plot where asked."""
    asked = parsed()
    torch.set_num_threads(1)
    if asked.device == "cpu":
        with multiprocessing.get_context("spawn").Pool(asked.cores, one_thread) as pool:
            rows = measure(asked, pool)
    else:
        rows = measure(asked, None)
    print(table(rows))
    if asked.json:
        machine = platform.processor() or platform.machine()
        about = {
            "machine": machine if asked.device == "cpu" else torch.cuda.get_device_name(),
            "torch": torch.__version__,
        }
        sizes = {"images": asked.images, "epochs": asked.epochs, "cores": asked.cores, "device": asked.device}
        asked.json.write_text(json.dumps({**about, **sizes, "rows": rows}, indent=1) + "\n")
    if asked.plot:
        plot(rows, asked.plot)


if __name__ == "__main__":
    main()
