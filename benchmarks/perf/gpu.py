"""On a GPU: what one victim costs by each recipe, and the whole matrix, with how busy the GPU was.

Everything goes through the command line, in processes of its own, and is stored and measured as for any user. Looks for
all of CIFAR-10 where `curve` does. Runs only when it is named: the 100 epochs of ``standard`` alone take minutes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from _perf import Figure, NotHereError
from curve import dataset

from benchkit.execute.executors.launch import masked

ASK = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--loop-ms=500")
"""Prints how busy GPUs are, in percent, twice a second, until it is ended."""
FIXED = ("--model", "preactresnet18", "--device", "cuda", "--quiet")
VICTIM_GOAL, MATRIX_GOAL = 30.0, 1800.0
"""Seconds allowed on an H200 for a victim by ``fast``, and for all attacks and defenses that are built in."""


def figures(quick: bool) -> list[Figure]:
    """Train a victim by ``fast`` and one by ``standard``, then run the matrix by ``fast`` with packed workers."""
    if not torch.cuda.is_available():
        raise NotHereError("there is no GPU here")
    fast, standard = ("fast:epochs=1", "standard:epochs=1") if quick else ("fast", "standard")
    images = ("--dataset", f"image-folder:root={dataset()}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        victims = [victim(root, recipe, (*images, *FIXED)) for recipe in (fast, standard)]
        whole = matrix(root, "all", "all", ("--recipe", fast, "--slots-per-device", "auto", *images, *FIXED))
    return [of_victim(victims[0], victims[1], VICTIM_GOAL), of_victim(victims[1], victims[0], None), whole]


def victim(root: Path, recipe: str, more: Sequence[str]) -> dict[str, Any]:
    """Train and judge a BadNets victim; return its record.

    Raises:
        RuntimeError: when that fails.
    """
    results = root / recipe.partition(":")[0]
    ran(results, ("--attacks", "badnets", "--recipe", recipe, *more))
    (found,) = (record for record in records(results) if record["attack"] == "badnets")
    if found["status"] != "ok":
        raise RuntimeError(f"no victim by {recipe}: {found['error']}")
    return found


def of_victim(record: dict[str, Any], other: dict[str, Any], goal: float | None) -> Figure:
    """Return what one victim cost, beside the one by the other recipe."""
    seconds, reference = (one["costs"]["victim"]["seconds"] for one in (record, other))
    found = {name: record["metrics"][name] for name in ("c_acc", "asr")}
    what = f"{record['model']}, {record['recipe']}: C-Acc {found['c_acc']:.1%}, ASR {found['asr']:.1%}, in"
    ratio = reference / seconds
    return Figure(what, other["recipe"], seconds, reference, ratio, ratio, seconds, "s", goal, "<", found)


def matrix(root: Path, attacks: str, defenses: str, more: Sequence[str]) -> Figure:
    """Run attacks against defenses; the reference is what the cells say that the defenses alone cost."""
    results, begin = root / "matrix", time.perf_counter()
    with watched() as busy:
        ran(results, ("--attacks", attacks, "--defenses", defenses, *more))
    seconds, found = time.perf_counter() - begin, records(results)
    ok = [one for one in found if one["status"] == "ok"]
    alone = sum(one["metrics"]["seconds"] for one in ok if one["defense"] != "none")
    used = statistics.mean(busy) if busy else 0.0
    what = f"{len(ok)} of {len(found)} cells, GPU {used:.0f} % busy, in"
    numbers = {"cells": len(found), "ok": len(ok), "utilisation": used}
    ratio = alone / seconds
    return Figure(what, "its defenses alone", seconds, alone, ratio, ratio, seconds, "s", MATRIX_GOAL, "<", numbers)


def ran(results: Path, options: Sequence[str]) -> None:
    """Run benchkit; cells may fail, the run itself may not.

    Raises:
        RuntimeError: when it does.
    """
    command = [sys.executable, "-m", "benchkit", "run", *options, "--results", str(results)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):
        raise RuntimeError(ended.stderr.strip() or f"benchkit run ended with {ended.returncode}")


def records(results: Path) -> list[dict[str, Any]]:
    """Return every record below a results folder."""
    return [json.loads(path.read_text()) for path in sorted((results / "results").rglob("*.json"))]


@contextmanager
def watched() -> Iterator[list[float]]:
    """Yield a list that after the block holds how busy the GPU was, in percent, each time it was asked."""
    found: list[float] = []
    mine = f"--id={masked('cuda', os.environ.get('CUDA_VISIBLE_DEVICES'))}"
    try:
        asking = subprocess.Popen((*ASK, mine), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except OSError:
        yield found
        return
    try:
        yield found
    finally:
        asking.terminate()
        for line in asking.communicate()[0].splitlines():
            with suppress(ValueError):
                found.append(float(line))
