"""Measure benchkit's speed: `python benchmarks/perf/run.py [NAMES...] [--quick] [--out perf.json]`.

Each topic is a module in this folder with a function ``figures(quick: bool) -> list[Figure]``. Every figure stands
beside a straightforward reference, timed in the same run and in turn with ours, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchkit.execute.executors.launch import usual

os.environ.update(usual(os.environ))  # torch reads it when it is imported

import torch
from _perf import Figure, NotHereError

FOLDER = Path(__file__).parent
ON_REQUEST = ("curve", "gpu", "large")
"""Topics that take minutes and run only when they are named."""


def topics() -> list[str]:
    """Return the names of the topics: the modules here that are not helpers."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py") if path.stem != "run")


def measured(names: list[str], quick: bool) -> Iterator[tuple[str, list[Figure]]]:
    """Measure one topic after the other; say on stderr which cannot be."""
    for name in names:
        topic = importlib.import_module(name)
        if not hasattr(topic, "figures"):
            print(f"{name}: it has no figures(quick); run it by itself", file=sys.stderr)
            continue
        print(f"{name} ...", file=sys.stderr)
        try:
            yield name, topic.figures(quick)
        except NotHereError as reason:
            print(f"{name}: skipped, {reason}", file=sys.stderr)


def line(figure: Figure) -> str:
    """Lay one figure out."""
    goal = "" if figure.goal is None else f"{figure.sense} {figure.goal:g} {figure.unit}"
    word = {True: "met", False: "MISSED", None: ""}[figure.met]
    value = f"{figure.value:.3g} {figure.unit}" if figure.value < 1000 else f"{figure.value:,.0f} {figure.unit}"
    seconds = f"{figure.cpu_ratio:>9.3g} {figure.ours:>10.4g} {figure.reference:>10.4g}"
    return f"{figure.what:<58} {value:>11} {goal:>9} {word:<6} {seconds}  {figure.against}"


def block(name: str, figures: list[Figure]) -> str:
    """Lay one topic out."""
    return "\n".join([name, *("  " + line(one) for one in figures)])


def head() -> str:
    """Return the names of the columns."""
    return f"  {'':<58} {'value':>11} {'goal':>9} {'':<6} {'CPU ratio':>9} {'ours, s':>10} {'theirs, s':>10}  against"


def about(quick: bool) -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "machine": _processor(),
        "cores": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "quick": quick,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [one.partition(":")[2].strip() for one in lines if one.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def write(path: Path | None, facts: dict[str, Any], found: dict[str, Any]) -> None:
    """Write what was found so far, if that was asked for."""
    if path:
        path.write_text(json.dumps({**facts, "topics": found}, indent=1) + "\n")


def main() -> None:
    """Print the table; write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = topics()
    default = [name for name in known if name not in ON_REQUEST]
    few = f"of {', '.join(known)}; by default all but {', '.join(ON_REQUEST)}"
    parser.add_argument("names", nargs="*", metavar="NAMES", help=few)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, ours and theirs (default: 1)")
    parser.add_argument("--out", type=Path, metavar="PATH", help="also write the figures there, as JSON")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in known:
            parser.error(f"there is no topic '{name}': there are {', '.join(known)}")
    torch.set_num_threads(asked.threads)
    facts = about(asked.quick)
    print(head())
    found = {}
    for name, figures in measured(asked.names or default, asked.quick):
        print(block(name, figures), flush=True)
        found[name] = [one.json() for one in figures]
        write(asked.out, facts, found)  # after every topic: an interrupted run loses little
    write(asked.out, facts, found)


if __name__ == "__main__":
    main()
