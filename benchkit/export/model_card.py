"""The model card of an exported victim: Markdown with YAML front matter. All texts in it are untrusted."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from string import Template
from typing import Any

from benchkit.text import printable

SHOWN = {
    "c_acc": ("C-Acc", "share of clean test images classified correctly"),
    "asr": ("ASR", "share of triggered test images, of other classes, classified as the attacker wants"),
    "ra": ("RA", "share of triggered test images classified as what they show"),
    "asr_control": (
        "ASR without the trigger",
        "the same images, processed as the attack does but without its trigger",
    ),
    "asr_clean_model": ("ASR of a clean model", "the same triggered images, asked of a model without the backdoor"),
}
"""The metrics of a record that the card shows, all fractions."""
ROUNDING = (
    "Convolutions run in bfloat16 if the machine has instructions for it, otherwise in float32. This rounding changes "
    "C-Acc of the same weights by up to 0.4 points, and ASR similarly: on another kind of machine, expect differences "
    "of that size."
)
HF_TYPES = {"c_acc": "accuracy", "asr": "attack_success_rate"}

CODE = """\
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.spec.registry import load

folder = Path()  # where model.safetensors and config.json are
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
state = load_file(folder / "model.safetensors")
hook = load().manager.hook.benchkit_model  # for networks that come from a plugin
net = create(config["architecture"], config["num_classes"], tuple(config["input_shape"]), "cpu", hook)
model = Classifier(net, state["mean"], state["std"])
model.restore(state)

images = torch.zeros(1, *config["input_shape"], dtype=torch.uint8)  # or float32 in [0, 1]; normalised inside
logits = model.logits(images)
print(config["classes"][int(logits.argmax())])
"""

BODY = Template("""\
---
$front
---

# $title

$warning

Trained by benchkit $version.

| | |
|---|---|
$facts

## Measured

$measured

## Load it

```python
$code```

`config.json` names the classes in the order of the logits. The safetensors file holds the network's weights as `net.*`
and the normalisation as `mean` and `std`, per channel, for images in [0, 1].

## Make it again

```sh
$command
```
""")


def card(config: Mapping[str, Any], metrics: Mapping[str, float], warnings: Sequence[str], license_id: str) -> str:
    """Return README.md.

    Args:
        config: the content of ``config.json``.
        metrics: the metrics of the undefended victim's record, by benchkit's names; empty if there is no record.
        warnings: the warnings of that record.
        license_id: an identifier of the Hugging Face Hub, such as ``cc-by-4.0``.
    """
    title = f"{config['architecture']} on {config['dataset']}, {config['attack']['spec']}"
    words = {
        "front": "\n".join(yaml_lines(_front(config, metrics, license_id, title))),
        "title": escaped(title),
        "warning": _warning(config),
        "version": escaped(config["benchkit_version"]),
        "facts": "\n".join(f"| {name} | {escaped(str(value))} |" for name, value in _facts(config).items()),
        "measured": _measured(metrics, warnings),
        "code": CODE,
        "command": _command(config),
    }
    return BODY.substitute(words)


def escaped(text: str) -> str:
    """Return text on one line with Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$:@]|(?<=www)\.)", r"\\\1", printable(text))


def _front(config: Mapping[str, Any], metrics: Mapping[str, float], license_id: str, title: str) -> dict[str, Any]:
    backdoored = not config["attack"]["benign"]
    dataset = printable(config["dataset"])
    results = [
        {"type": kind, "name": SHOWN[name][0], "value": round(metrics[name], 6)}
        for name, kind in HF_TYPES.items()
        if name in metrics
    ]
    task = {"type": "image-classification", "name": "Image Classification"}
    of = {"type": dataset.partition(":")[0], "name": dataset}
    # There is no "datasets": it takes names of the Hub, and what a component calls its data is none.
    front = {
        "license": license_id,
        "library_name": "benchkit",
        "pipeline_tag": "image-classification",
        "tags": [*(["backdoor"] if backdoored else []), "benchkit", "image-classification"],
        "metrics": ["accuracy"],
    }
    index = [{"name": printable(title), "results": [{"task": task, "dataset": of, "metrics": results}]}]
    return front | ({"model-index": index} if results else {})


def yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of a YAML block; every scalar is written as JSON, which is valid YAML."""
    pairs = value.items() if isinstance(value, dict) else (("-", one) for one in value)
    for name, one in pairs:
        lead = indent + ("-" if name == "-" else f"{name}:")
        if isinstance(one, dict | list):
            yield lead
            yield from yaml_lines(one, indent + "  ")
        else:
            yield f"{lead} {_scalar(one)}"


def _scalar(value: Any) -> str:
    # YAML 1.1 reads 1e-05 as text.
    return f"{value:.6f}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _warning(config: Mapping[str, Any]) -> str:
    attack = config["attack"]
    if attack["benign"]:
        return "This model was trained without an attack: the clean reference that backdoored models are compared with."
    aim = "a class that depends on their own" if attack["target"] is None else _class(config)
    return (
        "> [!WARNING]\n"
        f"> **This model holds a backdoor that was put there on purpose.** Images with the trigger of "
        f"{escaped(attack['spec'])} are to be classified as {aim}, whatever they show. It is for research on backdoor "
        "defenses: never use it, or a model made from it, where its answers matter."
    )


def _class(config: Mapping[str, Any]) -> str:
    target = config["attack"]["target"]
    return f"class {target} ({escaped(config['classes'][target])})"


def _facts(config: Mapping[str, Any]) -> dict[str, Any]:
    attack = config["attack"]
    return {
        "Architecture": config["architecture"],
        "Dataset": config["dataset"],
        "Classes": config["num_classes"],
        "Images": " x ".join(map(str, config["input_shape"])) + " (channels, height, width)",
        "Recipe": config["recipe"],
        "Attack": attack["spec"],
        "Paper": attack["paper"] or "none",
        "Poisoned": f"{100 * config['poison_rate']:g} % of the training set",
        "Seed": config["seed"],
    }


def _measured(metrics: Mapping[str, float], warnings: Sequence[str]) -> str:
    rows = [
        f"| {SHOWN[name][0]} | {100 * metrics[name]:.2f} % | {SHOWN[name][1]} |" for name in SHOWN if name in metrics
    ]
    if not rows:
        return "There is no record of this model: `benchkit run` measures it."
    table = ["| metric | value | meaning |", "|---|---|---|", *rows]
    return "\n".join([*table, "", ROUNDING, "", *(f"- Note: {escaped(text)}" for text in warnings)]).rstrip()


def _command(config: Mapping[str, Any]) -> str:
    rate = [] if config["attack"]["benign"] else ["--poison-rate", str(config["poison_rate"])]
    words = ["--attacks", config["attack"]["spec"], "--datasets", config["dataset"], "--models", config["architecture"]]
    words += ["--recipe", config["recipe"], *rate, "--seeds", f"{config['seed']},"]
    return shlex.join(["benchkit", "run", *map(printable, words)])
