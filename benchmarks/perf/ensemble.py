"""How many small models are trained in a second, against a plain loop that trains one after the other.

They are the CIFAR-10 networks of Xu et al. (IEEE S&P 2021, Meta Neural Analysis), each on its own set of random images,
as a meta-analysis trains its thousands of shadow models. The reference is published code's way: float32, a loop over
shuffled batches, Adam, one thread. ``benchmarks/perf/ensemble.py --plot PATH`` draws what a model costs against the
number of models trained as one batched computation.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import torch
import torch.nn.functional as F
from _perf import Figure, Seconds, Work, faster, turns

from benchkit.contracts.data import Split
from benchkit.models.networks import MntdCnn
from benchkit.training.ensemble import fit_many
from benchkit.training.recipes import Mntd
from benchkit.training.trainer import Trainer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
IMAGES = 1000
"""Images that each model is trained on, once; a tenth of them where only the measuring is looked at."""


def split(number: int, images: int) -> Split:
    """Return the training set of one model."""
    rng = torch.Generator().manual_seed(number)
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=rng)
    return Split(pixels, torch.randint(10, (images,), generator=rng))


def network() -> MntdCnn:
    """Return the network of every way, untrained."""
    return MntdCnn(10, 3, (32, 32))


def plain(numbers: range, images: int = IMAGES) -> None:
    """Train one model after the other, in float32."""
    for number in numbers:
        data, net = split(number, images).to(DEVICE), network().to(DEVICE)
        pixels, optimizer = data.images / 255, torch.optim.Adam(net.parameters(), 1e-3)
        for rows in torch.randperm(images, device=DEVICE).split(100):
            loss = F.cross_entropy(net(pixels[rows]), data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    _wait()


def ours(numbers: range, images: int = IMAGES, stacked: int | None = None) -> None:
    """Train the models with fit_many."""
    trainer = Trainer(Mntd(epochs=1), network, torch.device(DEVICE))
    rngs = [torch.Generator().manual_seed(number) for number in numbers]
    fit_many(trainer, [split(number, images) for number in numbers], rngs, stacked=stacked)
    _wait()


def per_core(numbers: range, images: int, pool: Pool, cores: int) -> None:
    """Train the models with fit_many in a pool of processes, each its share, as the runner does."""
    pool.starmap(ours, [(numbers[core::cores], images) for core in range(cores)], chunksize=1)


def _wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def figures(quick: bool) -> list[Figure]:
    """Measure a loop in one process, and what the runner does: a process a core on a CPU, one computation on a GPU."""
    each, repetitions, images = (1, 1, IMAGES // 10) if quick else (4, 5, IMAGES)
    if DEVICE == "cuda":
        many = 2 if quick else 64
        works: dict[str, Work] = {
            "plain": partial(plain, range(each), images),
            "many": partial(ours, range(many), images),
        }
        taken = turns(works, repetitions)
        base = taken["plain"].times(many / each)
        return [faster(f"train {many} small models", taken["many"], "one by one in float32", base, 20)]
    cores = 1 if quick else os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores, torch.set_num_threads, (1,)) as pool:
        works = {
            "plain": partial(plain, range(each), images),
            "one": partial(ours, range(each), images),
            "many": partial(per_core, range(each * cores), images, pool, cores),
        }
        taken = turns(works, repetitions)
    against, base = "one by one in float32", taken["plain"].times(cores)
    return [
        faster(f"train {each * cores} small models in {cores} processes", taken["many"], against, base, 3),
        faster(f"train {each} small models in one process", taken["one"], against, taken["plain"]),
    ]


def curve(sizes: list[int], repetitions: int) -> dict[str, Seconds]:
    """Return what one model costs in a plain loop, and trained with so many others as one computation."""
    works: dict[str, Work] = {"plain": partial(plain, range(2))}
    works |= {str(size): partial(ours, range(max(2, size)), IMAGES, size) for size in sizes}
    taken = turns(works, repetitions)
    return {name: one.times(1 / max(2, int(name) if name != "plain" else 2)) for name, one in taken.items()}


def plot(taken: dict[str, Seconds], path: Path) -> None:
    """Draw seconds per model over the number of models trained as one; the plain loop is a horizontal line."""
    from matplotlib.figure import Figure as Picture

    axes = (picture := Picture(figsize=(5, 3.5), layout="constrained")).subplots()
    sizes = [name for name in taken if name != "plain"]
    axes.plot([int(name) for name in sizes], [taken[name].middle() for name in sizes], "o-", label="fit_many, stacked")
    axes.axhline(taken["plain"].middle(), color="C1", linestyle="--", label="one by one in float32")
    axes.set(xscale="log", yscale="log", xlabel="models trained as one", ylabel=f"seconds per model ({DEVICE})")
    axes.set_xticks([int(name) for name in sizes], sizes)
    axes.minorticks_off()
    axes.legend()
    picture.savefig(path, dpi=150)


def main() -> None:
    """Draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, metavar="PATH", required=True, help="the picture, such as cost.png")
    parser.add_argument(
        "--stacked", default="1,2,4,8,16,32", metavar="LIST", help="models trained as one (%(default)s)"
    )
    parser.add_argument("--repetitions", type=int, default=5, metavar="N", help="turns that count")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    taken = curve([int(size) for size in asked.stacked.split(",")], asked.repetitions)
    for name, one in taken.items():
        print(f"{name:>6}: {one.middle():.3f} s a model")
    plot(taken, asked.plot)


if __name__ == "__main__":
    main()
