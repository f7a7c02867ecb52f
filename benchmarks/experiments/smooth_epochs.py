"""How soon is a smooth backdoor learned? (Zeng et al., ICCV 2021, Section 5.3).

The paper reports an ASR of about 95 % within one epoch for its smooth trigger, and slower convergence to less
for five naive ones (random patches and pictures through the same filter). This trains a victim from scratch with
each trigger for each number of epochs, the learning rate falling to 0 in each, by driving ``benchkit run``:

    python benchmarks/experiments/smooth_epochs.py --dataset image-folder:root=DATA --plot

Everything is kept in the results folder, so what was trained is never trained again. The smooth trigger is
searched on a clean model of equally many epochs; ``asr_clean_model`` says how much of the ASR a model has without
any poison. Columns of the CSV, means over the seeds:

    attack, epochs     as in ``benchkit run``
    asr, c_acc         of the undefended victim
    asr_clean_model    share of triggered images that a clean model already gives to the target
    epochs_to_90       fewest epochs among those tried with an ASR of 90 % and more; empty: none
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import _common as common
import click

from benchkit import BenchkitError
from benchkit.cli import cli
from benchkit.spec.registry import load
from benchkit.spec.spec import component, components, poison_rates
from benchkit.spec.spec import recipe as recipe_of

if TYPE_CHECKING:
    from benchkit.records.record import Record

ATTACKS = (
    "smooth,filtered:variant=0,filtered:variant=1,filtered:variant=2,"
    "filtered:base=picture,variant=0,filtered:base=picture,variant=1"
)
LEARNED = 0.9
METRICS = ("asr", "c_acc", "asr_clean_model")


def trained(asked: dict[str, str], plugins: Iterable[str], jobs: int | None) -> None:
    """Let ``benchkit run`` do what is missing for one number of epochs; its matrix is not shown.

    Raises:
        BenchkitError: when a cell failed.
    """
    options = [word for name, value in asked.items() for word in (f"--{name}", value)]
    options += [word for plugin in plugins for word in ("-p", plugin)]
    options += ["--jobs", str(jobs)] if jobs else []
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli(["run", *options, "--quiet"], standalone_mode=False)
    if code:
        raise BenchkitError(f"victims of recipe {asked['recipe']} failed: see {asked['results']}/results for why")


def lengthened(recipe: str, epochs: int) -> str:
    """Return a recipe, such as ``fast`` or ``fast:batch=64``, with its number of epochs set."""
    return f"{recipe}{',' if ':' in recipe else ':'}epochs={epochs}"


def first_learned(asr: dict[int, float], level: float = LEARNED) -> int | str:
    """Return the fewest epochs whose ASR (a share) reaches the level, or "" where none does."""
    return min((epochs for epochs, share in asr.items() if share >= level), default="")


def summary(records: Iterable[Record], recipes: dict[str, int], attacks: list[str]) -> list[common.Row]:
    """Return a row for each attack and number of epochs from the records of undefended victims.

    Args:
        records: of one dataset and model.
        recipes: the number of epochs of each recipe's canonical text.
        attacks: canonical texts.
    """
    found: dict[tuple[str, int], list[Mapping[str, float]]] = {}
    for record in records:
        if record.recipe in recipes:
            found.setdefault((record.attack, recipes[record.recipe]), []).append(record.metrics)
    rows: list[common.Row] = []
    for attack in attacks:
        means = {
            epochs: {name: fmean(one[name] for one in found[attack, epochs]) for name in METRICS}
            for epochs in recipes.values()
        }
        learned = first_learned({epochs: mean["asr"] for epochs, mean in means.items()})
        for epochs, mean in means.items():
            count = len(found[attack, epochs])
            rows.append({"attack": attack, "epochs": epochs, **mean, "epochs_to_90": learned, "seeds": count})
    return rows


def read(asked: dict[str, str], recipes: dict[str, int], plugins: tuple[str, ...]) -> list[common.Row]:
    """Read the records of the attacks that were asked for out of the results folder."""
    from benchkit.params.grammar import seeds
    from benchkit.report.load import newest
    from benchkit.report.load import read as records_in

    registry = load(plugins)
    attacks = [str(one) for one in components(asked["attacks"], "attacks", registry)]
    dataset = str(component(asked["dataset"], "datasets", registry))
    records, _ = records_in(Path(asked["results"]))
    wanted = seeds(asked["seeds"])
    mine = [
        one
        for one in newest(records)
        if one.status == "ok" and one.defense == "none" and one.seed in wanted and one.attack in attacks
        and (one.dataset, one.model, one.poison_rate) == (dataset, asked["model"], float(asked["poison-rate"]))
    ]  # fmt: skip
    return summary(mine, recipes, attacks)


def draw(rows: list[common.Row], out: Path) -> None:
    """Draw ASR and clean accuracy over epochs."""
    made = common.figure(9, 3.6)
    for panel, metric in zip(made.subplots(1, 2), ("asr", "c_acc"), strict=True):
        for attack in dict.fromkeys(row["attack"] for row in rows):
            chosen = [row for row in rows if row["attack"] == attack]
            points = [row["epochs"] for row in chosen], [100 * row[metric] for row in chosen]
            panel.plot(*points, marker="o", linewidth=2.5 if attack == "smooth" else 1, label=attack)
        panel.set(xlabel="epochs", ylabel="ASR (%)" if metric == "asr" else "C-Acc (%)")
    panel.legend(fontsize=6)
    common.save(made, out)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dataset", default="scenes", show_default=True, help="As in benchkit run, like the next five.")
@click.option("--attacks", default=ATTACKS, help="Rows.  [default: smooth and five filtered ones]")
@click.option("--model", default="narrownet", show_default=True)
@click.option("--recipe", default="fast", show_default=True, help="Without epochs.")
@click.option("--poison-rate", default="0.1", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--epochs", default="1,2,3,5,8,12", show_default=True, callback=common.numbers)
@click.option("--seeds", default="0,", show_default=True, help="A count (3) or a list (0,5 or 7,).")
@click.option("--results", default="smooth_epochs-results", show_default=True, help="Where benchkit run keeps all.")
@click.option("--jobs", type=click.IntRange(1), help="Worker processes.  [default: one per core, or per GPU]")
@click.option("-p", "--plugin", "plugins", multiple=True, help="Load a loose plugin file.")
@click.option("--out", default="smooth_epochs.csv", show_default=True, type=click.Path(path_type=Path))
@click.option("--plot", is_flag=True, help="Draw a PNG beside the CSV.")
def main(
    epochs: tuple[int, ...], jobs: int | None, plugins: tuple[str, ...], out: Path, plot: bool, **options: str
) -> None:
    """ASR and clean accuracy over the epochs of training, for smooth and merely filtered triggers."""
    common.check_outputs(out, plot)
    asked: dict[str, Any] = {name.replace("_", "-"): value for name, value in options.items()}
    rates = poison_rates(asked["poison-rate"])
    if len(rates) > 1:
        raise click.BadParameter(f"'{asked['poison-rate']}' is not one number", param_hint="--poison-rate")
    recipe = asked.pop("recipe")
    if "epochs=" in recipe:
        raise click.BadParameter(f"write '{recipe}' without epochs, which --epochs sets", param_hint="--recipe")
    recipes = {lengthened(recipe, count): count for count in epochs}
    canonical = {str(recipe_of(text)): count for text, count in recipes.items()}
    for text in recipes:
        click.echo(f"recipe {text}", err=True)
        trained({**asked, "recipe": text}, plugins, jobs)
    rows = read(asked, canonical, plugins)
    common.finish(rows, out)
    if plot:
        draw(rows, out)


if __name__ == "__main__":
    common.run(main)
