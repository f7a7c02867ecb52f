"""What of a trigger's spectrum does a victim remember? (Rao et al., ICLR 2024).

The paper claims that a victim memorises the distribution over frequencies of what the trigger changes,
DCT(y) - DCT(x), and that high frequencies need smaller changes than low ones. This trains victims on triggers,
whole or reduced to the k x k block of highest or lowest frequencies, as ``benchkit run`` trains them, and tests them
on triggers reduced likewise:

    python benchmarks/experiments/memorisation.py --dataset image-folder:root=DATA --plot

A reduced trigger also differs in size, which alone could explain a lower ASR; hence the rows that bring each
image's change to a given L2 norm, before it is clipped and rounded to 8 bits. Columns of the CSV:

    attack           as in ``benchkit run``
    direction        full: trained and tested on the whole trigger; full-to-band: trained on all, tested on a block;
                     band-to-full: the reverse; band-to-band: on one block both times; energy: likewise, scaled
    band, k          the block
    scaled           the change was scaled, per image: to the whole change's L2 norm, or (energy) to energy_target
    energy_target    the L2 norm scaled to (full-to-band: the mean of it), pixels in [0, 1]; empty: unscaled
    asr              share of triggered test images of other classes that end in the target class
    asr_all          the same with the target class's own images among them (the paper's way); direction full only
    asr_clean_model  asr of the same images on a model without a backdoor: what the change does by itself
    c_acc            of the victim, on all of the test split
    l2, linf         mean norm of what the test images really changed by, pixels in [0, 1]
    energy_share     of the tested change in the whole one: the ratio of their sums of squares
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _common as common
import click
import torch
from _band import BANDS, Asked, Case, Lab, Shots, cases, lab_of, lengths, refuse

from benchkit import Attack
from benchkit.contracts.data import Tensors
from benchkit.execute.resolve import data_root
from benchkit.measure.rates import mean
from benchkit.models.classifier import Classifier
from benchkit.params.component import text
from benchkit.spec.registry import load
from benchkit.spec.spec import component, components

if TYPE_CHECKING:
    from torch import Tensor

ATTACKS = "badnets,blend,low-freq:poisoning=dataset"
COLOURS = dict(zip(BANDS, ("tab:red", "tab:blue"), strict=True))
LEARNED = 0.9


def measured(case: Case, victim: Classifier, c_acc: float, shots: tuple[Shots, Shots], lab: Lab) -> common.Row:
    """Return the row of one case; ``shots`` are of other classes and of the target's own."""
    scene = lab.scene("stamp")
    images, own = (case.tested.rework(one.clean, one.stamped, scene) for one in shots)
    hits, norm = shots[0].hits(victim, images), case.tested.norm
    change, whole = (one.float() - shots[0].clean.float() for one in (images, shots[0].stamped))
    target = {"own": "", "full": lengths(whole).mean().item(), "fixed": case.tested.energy}[norm]
    everything = mean(torch.cat([hits, shots[1].hits(victim, own)]))
    return {
        "attack": str(case.shown.base),
        "direction": case.direction,
        "band": case.shown.band,
        "k": case.shown.k,
        "scaled": text(norm != "own"),
        "energy_target": target,
        "asr": mean(hits),
        "asr_all": everything if case.direction == "full" else "",
        "asr_clean_model": mean(shots[0].hits(lab.clean_model, images)),
        "c_acc": c_acc,
        "l2": lengths(change).mean().item(),
        "linf": change.abs().flatten(1).amax(1).mean().item() / 255,
        "energy_share": (change.double().square().sum() / whole.double().square().sum()).item(),
        "seed": lab.seed,
    }


def examined(todo: Sequence[Case], shots: tuple[Shots, Shots], lab: Lab, prepared: Tensors) -> list[common.Row]:
    """Train each victim of one attack once, and test it on everything that it is asked for."""
    shape = lab.scene("shape").shape
    trained = list(dict.fromkeys(case.trained.canonical(shape) for case in todo))
    rows: dict[int, common.Row] = {}
    for number, wanted in enumerate(trained, 1):
        victim = lab.victim(wanted, prepared)
        c_acc = lab.accuracy(victim)
        mine = {at: case for at, case in enumerate(todo) if case.trained.canonical(shape) == wanted}
        rows |= {at: measured(case, victim, c_acc, shots, lab) for at, case in mine.items()}
        on = wanted.band if wanted.band == "full" else f"{wanted.band} k={wanted.k}"
        on += f" at L2 {wanted.energy:g}" if wanted.norm == "fixed" else ""
        click.echo(f"{wanted.base}: victim {number} of {len(trained)}, {on}: C-Acc {100 * c_acc:.1f} %", err=True)
    return [rows[at] for at in range(len(todo))]


def verdict(rows: Sequence[common.Row]) -> str:
    """Say of one attack's rows which L2 norm was enough in which band."""
    found = []
    for band in BANDS:
        enough = [row["l2"] for row in of(rows, "energy", band) if row["asr"] >= LEARNED]
        found.append(f"{min(enough):.3g} of {band}" if enough else f"none of {band}")
    share = f"{100 * LEARNED:.0f} %"
    return f"{rows[0]['attack']}: smallest L2 tried with an ASR of {share}: {' and '.join(found)} frequencies"


def of(rows: Sequence[common.Row], direction: str, band: str, scaled: str = "") -> list[common.Row]:
    """Return the rows of one curve."""
    mine = [row for row in rows if (row["direction"], row["band"]) == (direction, band)]
    return [row for row in mine if not scaled or row["scaled"] == scaled]


def write_maps(maps: dict[str, Tensor], out: Path) -> None:
    """Write the mean |DCT(y) - DCT(x)| of each attack as rows of attack, u, v, value."""
    path = out.with_name(f"{out.stem}-maps.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("attack", "u", "v", "value"))
        for attack, values in maps.items():
            lines = enumerate(values.tolist())
            writer.writerows((attack, u, v, f"{value:.6g}") for u, line in lines for v, value in enumerate(line))
    click.echo(f"written: {path}", err=True)


def draw(rows: Sequence[common.Row], maps: dict[str, Tensor], out: Path) -> None:
    """Draw a line of panels for each attack: ASR over k both ways, ASR over energy, and the map."""
    made = common.figure(17, 4 * len(maps))
    for panels, attack in zip(made.subplots(len(maps), 4, squeeze=False), maps, strict=True):
        mine = [row for row in rows if row["attack"] == attack]
        for band, colour in COLOURS.items():
            for scaled, style, label in (("false", "-", ""), ("true", "--", ", scaled to full L2")):
                line(panels[0], of(mine, "full-to-band", band, scaled), "k", colour, style, f"{band}{label}")
            line(panels[1], of(mine, "band-to-full", band), "k", colour, "-", f"{band}, tested on full")
            line(panels[1], of(mine, "band-to-band", band), "k", colour, ":", f"{band}, tested on the same")
            line(panels[2], of(mine, "energy", band), "l2", colour, "-", band)
        asked = [row["energy_target"] for row in of(mine, "energy", "high")]
        panels[0].set(title=f"{attack}\ntrained on full, tested on a block", xlabel="k of the test block")
        panels[1].set(title="trained on a block", xlabel="k of the training block")
        panels[2].set(title=f"trained and tested scaled, k={mine[-1]['k']}", xlabel="mean L2 of the change")
        panels[2].set_xscale("log")
        panels[2].set_xticks(asked, [f"{energy:g}" for energy in asked])
        panels[2].minorticks_off()
        for panel in panels[:3]:
            panel.set(ylabel="ASR (%)", ylim=(-3, 103))
            panel.legend(fontsize=8, ncols=2, handlelength=3, loc="upper center", bbox_to_anchor=(0.5, -0.17))
        heat = panels[3].imshow(maps[attack].clamp(min=1e-2).log10(), cmap="viridis")
        panels[3].set(title="log10 mean |DCT(y) - DCT(x)|", xlabel="v (horizontal)", ylabel="u (vertical)")
        made.colorbar(heat, ax=panels[3])
    common.save(made, out)


def line(panel: Any, rows: Sequence[common.Row], over: str, colour: str, style: str, label: str) -> None:
    """Draw one curve of ASR."""
    points = [row[over] for row in rows], [100 * row["asr"] for row in rows]
    panel.plot(*points, color=colour, linestyle=style, marker="o" if style == "-" else "s", markersize=4, label=label)


def whole(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[int, ...]:
    """Return the whole numbers of an option, or none where it was left out."""
    return common.numbers(ctx, param, given) if given is not None else ()


def amounts(ctx: click.Context, param: click.Parameter, given: str) -> tuple[float, ...]:
    """Return the numbers above 0 of an option such as ``0.25,0.5``, smallest first, without repeats."""
    try:
        found = sorted({float(word) for word in given.split(",")})
    except ValueError:
        found = [0.0]
    if found[0] <= 0 or not all(map(math.isfinite, found)):
        raise click.BadParameter(f"'{given}' is not a list of numbers above 0 such as 0.5,1", ctx, param)
    return tuple(found)


def examine(todo: dict[Attack, list[Case]], lab: Lab, images: int, out: Path, plot: bool) -> None:
    """Craft and stamp all attacks, which finds out what is wrong with them; then train, and write what comes out."""
    crafted = {attack: lab.craft(attack) for attack in todo}
    shots = {attack: lab.shots(attack, prepared, images) for attack, prepared in crafted.items()}
    click.echo(f"clean model: C-Acc {100 * lab.accuracy(lab.clean_model):.1f} %", err=True)
    tables = {attack: examined(mine, shots[attack], lab, crafted[attack]) for attack, mine in todo.items()}
    rows = [row for table in tables.values() for row in table]
    maps = {str(attack): pair[0].spectrum() for attack, pair in shots.items()}
    common.finish(rows, out)
    write_maps(maps, out)
    for table in tables.values():
        click.echo(verdict(table))
    if plot:
        draw(rows, maps, out)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dataset", default="scenes", show_default=True, help="As in benchkit run, like the next seven.")
@click.option("--data-root", "root", type=click.Path(path_type=Path), help="Where datasets are.")
@click.option("--attacks", default=ATTACKS, show_default=True)
@click.option("--model", default="narrownet", show_default=True)
@click.option("--recipe", "how", default="fast", show_default=True)
@click.option("--poison-rate", "rate", default="0.1", show_default=True)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("-p", "--plugin", "plugins", multiple=True, help="Load a loose plugin file.")
@click.option("--test-images", "images", default=1000, show_default=True, type=click.IntRange(1))
@click.option("--k", callback=whole, help="Blocks to test the full trigger's victim on.  [default: 1 to 32]")
@click.option("--train-k", callback=whole, help="Blocks to train on.  [default: 4,10,16,24]")
@click.option("--energy-k", default=0, type=click.IntRange(0), help="Block to scale.  [default: 10]")
@click.option("--energy", default="0.25,0.5,1,2", show_default=True, callback=amounts, help="L2 norms.")
@click.option("--out", default="memorisation.csv", show_default=True, type=click.Path(path_type=Path))
@click.option("--plot", is_flag=True, help="Draw a PNG beside the CSV.")
def main(
    dataset: str, root: Path | None, attacks: str, model: str, how: str, rate: str, seed: int,
    plugins: tuple[str, ...], images: int, out: Path, plot: bool, **asked: Any,
) -> None:  # fmt: skip
    """Which frequencies of a trigger a victim remembers, and how large they have to be."""
    common.check_outputs(out, plot)
    registry = load(plugins)
    chosen = components(attacks, "attacks", registry)
    data = common.loaded(component(dataset, "datasets", registry), data_root(root))
    height, width = data.train.images.shape[2:]
    wanted = Asked(**asked).within(min(height, width))
    todo = {attack: cases(attack, wanted, max(height, width)) for attack in chosen}
    refuse([band for one in todo.values() for case in one for band in (case.trained, case.tested)], data)
    examine(todo, lab_of(data, model, how, seed, rate, registry), images, out, plot)


if __name__ == "__main__":
    common.run(main)
