"""The card of exported images: Markdown with YAML front matter. All texts in it are untrusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Template
from typing import Any

from benchkit.text import printable

BODY = Template("""\
---
license: $license
pretty_name: $title
task_categories: [image-classification]
tags: [backdoor, data-poisoning, benchkit]
configs:
- config_name: poisoned
  data_files: train.csv
- config_name: triggered
  data_files: test.csv
---

# $title

**These images carry a backdoor trigger.** They are for research on defenses: do not train a model that is used on them.

- `train.csv` and `train/`: the $train training images that the attack changed. `row` is the place in the training
  split of the data set, from 0 on; every other row is clean. `label` is what the image is labelled as, `true_label`
  what it shows, and `cover` is 1 for images that are changed without teaching the backdoor.
- `test.csv` and `test/`: the $test test images with the trigger; `label` is what the attacker wants.
- `about.json`: the attack, its paper, the data set with its classes, the poison rate and the seed.

Play the attack against defenses, with the data set `$dataset`:

    benchkit import FOLDER --dataset '$dataset' --out replayed
    benchkit run --attacks replay:root=replayed --defenses all --dataset '$dataset'
""")


def card(about: Mapping[str, Any], train: int, test: int, license: str) -> str:
    """Return the card of the images of one attack.

    Args:
        about: the content of ``about.json``.
        train, test: numbers of images.
        license: an identifier of the Hugging Face Hub.
    """
    title = json.dumps(printable(f"{about['attack']} on {about['dataset']}, seed {about['seed']}"), ensure_ascii=False)
    dataset = printable(about["dataset"]).replace("'", "'\\''")
    return BODY.substitute(license=license, title=title, train=train, test=test, dataset=dataset)
