"""What each stage of a plan does. A step looks in the store first, so running one twice is harmless."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchkit import gates
from benchkit.execute.bench import Bench, Job
from benchkit.execute.cells import make_cell
from benchkit.execute.cost import Meter, added
from benchkit.execute.many import drawn, make_population, make_shadows
from benchkit.execute.records import describe, moment, parent_costs
from benchkit.frequency import channel_spectra
from benchkit.judging import answers
from benchkit.kinds import ModelDetector
from benchkit.measure import audit
from benchkit.plan import AUDIT, SHADOWS, SURROGATE
from benchkit.protocol import generator
from benchkit.scene import Data
from benchkit.spec import component
from benchkit.words import printable

Result = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""An artifact: its tensors, and JSON to keep beside them."""
NAMED = 5
"""Classes that a sentence names."""


def run_step(bench: Bench, job: Job) -> dict[str, Any]:
    """Run one step unless its result is there, and publish the result.

    Returns:
        JSON for the parent process: ``made`` (False when another run had done it), ``cost``, and ``info``.

    Raises:
        Damaged: when a parent's artifact has to be made again first.
    """
    with bench.store.lock(job["key"]):
        if job["stage"] == "cell":
            return _run_cell(bench, job)
        stage, key = job["stage"], job["key"]
        if bench.store.has(stage, key):
            return {"made": False, **bench.store.meta(stage, key)}
        with Meter(bench.device) as meter, bench.kept.untouched(_plugin(job)):
            tensors, info = STAGES[stage](bench, job)
        meta = {"info": info, "cost": meter.cost, "label": _label(job)}
        bench.store.save(stage, key, tensors, meta)
        return {"made": True, **meta}


def _plugin(job: Job) -> str:
    """Return what a step is mostly done by."""
    return str(job.get("defense") or job.get("attack") or job["dataset"])


def _label(job: Job) -> str:
    words = [str(job[name]) for name in ("dataset", "attack", "defense") if name in job]
    return " ".join([*words, *([SURROGATE] if job.get("purpose") == SURROGATE else [])])


def make_data(bench: Bench, job: Job) -> Result:
    """Decode a dataset."""
    dataset = component(job["dataset"], "datasets", bench.registry)
    data = gates.data(dataset.name, dataset.load(bench.source))
    tensors = {
        "train_images": data.train.images,
        "train_labels": data.train.labels,
        "test_images": data.test.images,
        "test_labels": data.test.labels,
    }
    shape = [int(side) for side in data.train.images.shape[1:]]
    sizes = {"train": len(data.train), "test": len(data.test)}
    notes = [printable(note) for note in (*data.notes, *_classes_without_images(data))]
    return tensors, {"classes": list(data.classes), "shape": shape, **sizes, "notes": notes}


def _classes_without_images(data: Data) -> list[str]:
    """Return a sentence for each split that lacks classes."""
    lost = {"training": "no model learns it", "test": "C-Acc and ASR say nothing of it"}
    said = []
    for (what, why), split in zip(lost.items(), (data.train, data.test), strict=True):
        counts = split.labels.bincount(minlength=len(data.classes)).tolist()
        lacking = [name for name, count in zip(data.classes, counts, strict=True) if not count]
        some = ", ".join(lacking[:NAMED]) + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
        said += [f"no {what} image is of class {some}: {why}"] if lacking else []
    return said


def make_craft(bench: Bench, job: Job) -> Result:
    """Craft a trigger; the numbers that its attack reports are kept beside it."""
    attack = bench.attack(job)
    model = bench.model(job, SURROGATE) if SURROGATE in job["parents"] else None
    prepared = gates.tensors(attack.name, attack.prepare(bench.attacker(job, "prepare", granted=model)))
    reported = gates.reported(attack.name, attack.reports, prepared)
    return {**prepared, **drawn(bench, attack, job, "draw")}, reported


def make_poison(bench: Bench, job: Job) -> Result:
    """Poison the training set; what changed is kept."""
    poisoned = bench.poison(job, "poison")
    rows = poisoned.mask.nonzero().squeeze(1)
    changed, share = poisoned.data[rows], len(rows) / len(poisoned.data)
    return {"rows": rows, "images": changed.images, "labels": changed.labels}, {"poisoned": share}


def make_train(bench: Bench, job: Job) -> Result:
    """Train a victim, or the clean model of attackers; how much of its set was poisoned stays with it."""
    attack = bench.attack(job)
    scene = bench.attacker(job, job["purpose"], fit=True)
    model = gates.model(attack.name, "train", attack.train(bench.poisoned(job), scene))
    return model.state(), dict(bench.store.meta(*job["parents"]["poison"])["info"])


def make_judge(bench: Bench, job: Job) -> Result:
    """Ask the undefended victim and the benign one about the test images, clean and triggered."""
    test, stamped, parents = bench.tested(job), bench.triggered(job), job["parents"]

    def ask(role: str, images: Tensor) -> Tensor:
        return bench.model(job, role).logits(images).argmax(1) if len(images) else test.labels[:0]

    processed = job["attack"] if bench.attack(job).benign else ""
    key = parents["benign"][1] + processed
    benign = bench.kept("benign answers", key, lambda: ask("benign", test.images))
    clean = benign if parents["victim"] == parents["benign"] else ask("victim", test.images)
    said = answers(partial(ask, "victim"), test.images, clean, stamped.rows, stamped.images, stamped.control)
    return {
        **said,
        "benign_clean": benign.clone(),  # safetensors keeps no two names for one tensor
        "benign_triggered": ask("benign", stamped.images),
    }, dict(bench.store.meta(*parents["victim"])["info"])


def make_prepare(bench: Bench, job: Job) -> Result:
    """Run a defense's attack-free preparation."""
    defense = bench.defense(job)
    tensors = gates.tensors(defense.name, defense.prepare(bench.defender(job, "prepare", fit=False)))
    learned_from = [
        bench.store.meta(*step)["cost"] for role, step in job["parents"].items() if role.startswith(SHADOWS)
    ]
    return tensors, {"shadows": added(learned_from)} if learned_from else {}


def make_audit(bench: Bench, job: Job) -> Result:
    """Let a model detector score one victim, or some of a population."""
    defense = bench.defense(job)
    assert isinstance(defense, ModelDetector)
    verdicts = [audit(defense, partial(bench.defender, job, suspect=suspect)) for suspect in bench.suspects(job)]
    return {}, {name: [verdict[name] for verdict in verdicts] for name in ("score", "threshold")}


def make_spectrum(bench: Bench, job: Job) -> Result:
    """Average the spectra of random test images with an attack's trigger; keep one, clean and stamped."""
    attack, test = bench.attack(job), bench.data(job).test
    order = torch.randperm(len(test), generator=generator(job["seed"], "spectrum"))
    clean = test.images[order[: job["images"]].to(test.images.device)]
    returned = attack.stamp(clean.clone(), bench.attacker(job, "stamp"))
    stamped = gates.images(attack.name, "stamp", clean, returned)
    # Most triggers only brighten: on a bright image there would be little to see.
    middling = (clean.flatten(1).float() - 100).square().mean(1).argsort()
    example = int(middling[len(middling) // 4])
    return {
        "spectra": channel_spectra(stamped),
        "clean": clean[example].clone(),
        "stamped": stamped[example].clone(),
    }, {"images": len(clean)}


STAGES: dict[str, Callable[[Bench, Job], Result]] = {
    "data": make_data,
    "craft": make_craft,
    "poison": make_poison,
    "train": make_train,
    "judge": make_judge,
    "shadows": make_shadows,
    "prepare": make_prepare,
    "population": make_population,
    "audit": make_audit,
    "spectrum": make_spectrum,
}


def _run_cell(bench: Bench, job: Job) -> dict[str, Any]:
    found = bench.store.record(job)
    if found and found["status"] == "ok":
        return {"made": False, "record": found}
    with Meter(bench.device) as meter, bench.kept.untouched(_plugin(job)):
        found = make_cell(bench, job)
    record = describe(job, bench.attack(job), bench.defense(job)) | {"status": "ok", **found}
    costs = {"cell": meter.cost, **parent_costs(job["parents"], bench.store)}
    record["metrics"], record["costs"] = {**found["metrics"], **_total(costs)}, costs
    record["device"], record["threads"] = _device_name(bench.device), torch.get_num_threads()
    record["finished"] = moment(job, bench.store.record_path(job))
    bench.store.write_record(record)
    return {"made": True, "record": record, "cost": meter.cost}


def _total(costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what the defense itself cost: its cell and its own steps, not the victim it was given."""
    own = ("cell", "prepare", "shadows", AUDIT.strip())
    return added([cost for role, cost in costs.items() if role.split()[0] in own])


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
