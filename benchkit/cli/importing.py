"""benchkit import: an attack that was run elsewhere, as files that the attack replay plays."""

from __future__ import annotations

from pathlib import Path

import click

from benchkit.cli._complete import listed
from benchkit.text import say, warn


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--dataset", required=True, metavar="NAME", shell_complete=listed("datasets"),
              help="The data set whose images were poisoned and stamped.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR",
              help="Folder to make, for replay:root=DIR.")  # fmt: skip
@click.option("--target", metavar="LABEL",
              help="Class that the attacker wants, or all-to-all.  [default: what train.csv says]")  # fmt: skip
@click.option("--weights", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="The victim, as benchkit export --to hf writes it, for replay:weights.")  # fmt: skip
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where datasets are, as for run.")
@click.option("--download", is_flag=True, help="Allow the dataset to be downloaded.")
@click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a plugin file.")
def cmd(
    folder: Path, dataset: str, out: Path, target: str | None, weights: Path | None, data_root: Path | None,
    download: bool, plugins: tuple[str, ...],
) -> None:  # fmt: skip
    """Make an attack of the images in FOLDER, which any program may have written.

    FOLDER has train.csv (columns row, file, label) and test.csv (row, file): what benchkit export --to images writes.
    Or it is a record of BackdoorBench, with bd_train_dataset and bd_test_dataset, whose labels --target gives. Rows
    count the images of the data set from 0 on. Images are read; no program and no pickle in FOLDER is.
    """
    from benchkit.contracts.data import Source
    from benchkit.execute.resolve import data_root as usual
    from benchkit.foreign import bundle, layouts
    from benchkit.spec.registry import load
    from benchkit.spec.spec import component

    registry = load(plugins)
    source, wanted = Source(usual(data_root), download), component(dataset, "datasets", registry)
    layout = layouts.read(folder)
    wanted.fetch(source)
    data = wanted.load(source)
    for note in data.notes:
        warn(f"{wanted}: {note}")
    made = bundle.write(layout, data, bundle.target_of(target, len(data.classes)), out, weights)
    say(f"wrote {out / bundle.BUNDLE}: {made}")
