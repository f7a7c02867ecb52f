"""The data set card of an exported attack: Markdown with YAML front matter. All texts in it are untrusted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING, Any

from benchkit.export.model_card import escaped, yaml_lines
from benchkit.ops.attackfiles import POISON, ROLES
from benchkit.text import printable

if TYPE_CHECKING:
    from benchkit.export.attack_folder import Part
    from benchkit.export.victims import Victim
    from benchkit.ops.attackfiles import About

BODY = Template("""\
---
$front
---

# $title

> [!WARNING]
> **This data set is poisoned on purpose.** A model that is trained on it takes images with the trigger for what the
> attacker wants. It is for research on backdoor defenses.

Made by benchkit $version from $dataset, seed $seed, with a poison rate of $rate %.

| role | images | what they are |
|---|---|---|
$counts

Each image is `SPLIT/LABEL/ROW.png`: the label is the one that the poisoned set has, or that the attacker wants of a
stamped image; the row is that of the clean image in the dataset. `rows.csv` says of each image its role, its row, its
true class, its label, and a checksum of the clean image and of the image itself. `attack.json` names the classes, the
target and the architecture of `weights.safetensors`, the victim.

## Use it

```sh
$command
```
""")
MEANING = {
    "poison": "training images with the trigger",
    "cover": "changed training images whose label stays true",
    "clean": "the other training images",
    "stamped": "test images with the trigger",
    "control": "test images with the attack's processing, but without its trigger",
}


def card(victim: Victim, about: About, parts: Sequence[Part], license_id: str) -> str:
    """Return README.md.

    Args:
        victim: whose attack it is.
        about: what ``attack.json`` says.
        parts: the images that were written.
        license_id: an identifier of the Hugging Face Hub, such as ``cc-by-4.0``.
    """
    from benchkit import __version__

    reached = _reached(parts)
    counts = [f"| {one.role} | {len(one.rows):,} | {MEANING[one.role]} |" for one in parts if len(one.rows)]
    words = {
        "front": "\n".join(yaml_lines(_front(victim, license_id))),
        "title": escaped(f"{about.attack} on {about.dataset}"),
        "version": escaped(__version__),
        "dataset": escaped(about.dataset),
        "seed": victim.seed,
        "rate": f"{100 * reached:.3g}",
        "counts": "\n".join(counts),
        "command": _command(victim, reached),
    }
    return BODY.substitute(words)


def _front(victim: Victim, license_id: str) -> dict[str, Any]:
    splits = [{"split": "train", "path": "train/**/*.png"}, {"split": "test", "path": "stamped/**/*.png"}]
    return {
        "license": license_id,
        "pretty_name": printable(f"{victim.attack} on {victim.dataset}"),
        "task_categories": ["image-classification"],
        "tags": ["backdoor", "data-poisoning", "benchkit"],
        "configs": [{"config_name": "default", "data_files": splits}],
    }


def _reached(parts: Sequence[Part]) -> float:
    """Return the share of the victim's training set that is poisoned; some attacks find fewer images than asked for."""
    training = {one.role: len(one.rows) for one in parts if ROLES[one.role] == "train"}
    return training.get(POISON, 0) / sum(training.values())


def _command(victim: Victim, reached: float) -> str:
    """Return the command that sets a defense against the victim in the folder."""
    words = ["--attacks", "replay:root=FOLDER,trained=true", "--datasets", str(victim.dataset)]
    words += ["--models", victim.model, "--recipe", str(victim.recipe), "--poison-rate", f"{reached:.6g}"]
    words += ["--seeds", f"{victim.seed},", "--defenses", "fine-pruning"]
    return shlex.join(["benchkit", "run", *map(printable, words)])
