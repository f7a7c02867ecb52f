"""A process's workbench: loads what steps share, at most once each, and hands out scenes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Data, Poisoned, Source, Split, Tensors
from benchkit.contracts.defense import Defense
from benchkit.contracts.scene import PREPARED, Scene
from benchkit.measure.truth import Stamped
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.plan.planner import OTHER, SHADOWS
from benchkit.protocol import generator, holdout_rows, victim_rows
from benchkit.spec.registry import Registry
from benchkit.spec.spec import component, recipe
from benchkit.stages.cache import Cache
from benchkit.store.store import Store
from benchkit.training.trainer import Trainer

Result = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""An artifact: its tensors, and JSON to keep beside them."""


Job = Mapping[str, Any]


class Workspace:
    """What one worker process works with. It keeps the last thing of each kind that it loaded."""

    def __init__(self, store: Store, registry: Registry, device: torch.device, source: Source) -> None:
        self.store, self.registry, self.device, self.source = store, registry, device, source
        self.cache = Cache()

    def tensors(self, job: Job, role: str) -> dict[str, Tensor]:
        """Return a parent's tensors on the device, or nothing if the step has no such parent."""
        if role not in job["parents"]:
            return {}
        loaded = self.store.load(*job["parents"][role])
        return {name: tensor.to(self.device) for name, tensor in loaded.items()}

    def attack(self, job: Job) -> Attack:
        """Return the attack a step names."""
        attack: Attack = component(job["attack"], "attacks", self.registry)
        return attack

    def defense(self, job: Job) -> Defense:
        """Return the defense a step names."""
        defense: Defense = component(job["defense"], "defenses", self.registry)
        return defense

    def data(self, job: Job) -> Data:
        """Return the dataset of a step, on the device."""
        return self.cache("data", job["parents"]["data"][1], lambda: self._data(job))

    def _data(self, job: Job) -> Data:
        names = tuple(self.store.meta(*job["parents"]["data"])["info"]["classes"])
        found = self.tensors(job, "data")
        splits = [Split(found[f"{part}_images"], found[f"{part}_labels"]) for part in ("train", "test")]
        return Data(splits[0], splits[1], names)

    def others(self, job: Job) -> dict[str, Split]:
        """Return the training splits of the datasets that a defense learns from, by their text."""
        found = {role.removeprefix(OTHER): self.tensors(job, role) for role in job["parents"] if role.startswith(OTHER)}
        return {text: Split(parts["train_images"], parts["train_labels"]) for text, parts in found.items()}

    def victim_train(self, job: Job) -> Split:
        """Return the clean training set of victims: all but the defenders' reserve."""
        train = self.data(job).train
        return self.cache(
            "train",
            f"{job['parents']['data'][1]}/{job['seed']}",
            lambda: train[victim_rows(train, job["seed"])],
        )

    def poison(self, job: Job, purpose: str, drawn: Tensors | None = None) -> Poisoned:
        """Let the attack of a step poison the training set; ``drawn`` is as for ``attacker``.

        Raises:
            ContractError: when the result breaks its contract, or an attack that is not benign poisoned nothing.
        """
        attack, train = self.attack(job), self.victim_train(job)
        made = checks.poisoned(attack.name, train, attack.poison(train, self.attacker(job, purpose, drawn=drawn)))
        if not attack.benign:
            checks.poisons(attack.name, made, job["poison_rate"])
        return made

    def poisoned(self, job: Job) -> Poisoned:
        """Return the poisoned training set that a ``poison`` step left."""
        return self.cache("poison", job["parents"]["poison"][1], lambda: self._poisoned(job))

    def _poisoned(self, job: Job) -> Poisoned:
        found = self.tensors(job, "poison")
        return Poisoned.replacing(self.victim_train(job), found["rows"], found["images"], found["labels"])

    def model(self, job: Job, role: str) -> Classifier:
        """Return a fresh copy of the model that a ``train`` step left."""
        return self._restored(job, self.tensors(job, role))

    def _restored(self, job: Job, state: Mapping[str, Tensor]) -> Classifier:
        model = Classifier(self.build(job), state["mean"], state["std"])
        model.restore(state)
        return model.eval()

    def models(self, job: Job, role: str) -> list[Classifier]:
        """Return the models of one architecture that a step left stacked."""
        found = [
            dict(zip(state, one, strict=True))
            for state in [self.tensors(job, role)]
            for one in zip(*state.values(), strict=True)
        ]
        first = self._restored(job, found[0])
        rest = [first.copy() for _ in found[1:]]
        for model, state in zip(rest, found[1:], strict=True):
            model.restore(state)
        return [first, *rest]

    def suspects(self, job: Job) -> list[Classifier]:
        """Return the models that a model detector is to judge."""
        stage, _ = job["parents"]["suspects"]
        return [self.model(job, "suspects")] if stage == "train" else self.models(job, "suspects")

    def shadows(self, job: Job) -> list[Classifier]:
        """Return the shadow models that a step may learn from, by number."""
        wanted = self.defense(job).shadows()
        theirs = {**job, "model": wanted.model or job["model"]} if wanted else job
        return [one for role in job["parents"] if role.startswith(SHADOWS) for one in self.models(theirs, role)]

    def build(self, job: Job) -> torch.nn.Module:
        """Return a network of the step's architecture, with random weights."""
        data = self.data(job)
        hook = self.registry.manager.hook.benchkit_model
        shape = tuple(data.train.images.shape[1:])
        return create(job["model"], len(data.classes), shape, self.device, hook)  # type: ignore[arg-type]

    def trainer(self, job: Job) -> Trainer:
        """Return the benchmark's trainer for the step's recipe and architecture."""
        return Trainer(recipe(job["recipe"]), partial(self.build, job), self.device)

    def scene(self, job: Job, held: Split | None, purpose: tuple[str, ...], **more: Any) -> Scene:
        """Return a scene whose random numbers depend only on the seed and the purpose."""
        data = self.data(job)
        shape = tuple(int(side) for side in data.train.images.shape[1:])
        rng = generator(job["seed"], *purpose)
        return Scene(len(data.classes), shape, self.device, held, rng, **more)  # type: ignore[arg-type]

    def attacker(
        self, job: Job, purpose: str, *, fit: bool = False, drawn: Tensors | None = None, **more: Any
    ) -> Scene:
        """Return what the attacker of a step may have; ``drawn`` stands in for what its craft step drew."""
        return self.scene(
            job,
            self.victim_train(job),
            ("attacker", purpose),
            prepared=PREPARED if job["stage"] == "craft" else {**self.tensors(job, "craft"), **(drawn or {})},
            rate=job.get("poison_rate"),
            trainer=self.trainer(job) if fit else None,
            **more,
        )

    def defender(
        self, job: Job, purpose: str, *, fit: bool = True, grant: bool = False, suspect: Classifier | None = None
    ) -> Scene:
        """Return what the defender of a step may have: never the trigger, the target, the mask or the test set.

        Args:
            fit: hand over the benchmark's trainer.
            grant: hand over the victim, also where the defense does not declare that it needs it.
            suspect: the model to hand a copy of instead of the victim.
        """
        defense = self.defense(job)
        train = self.data(job).train
        if suspect is None and (grant or "model" in defense.needs) and "victim" in job["parents"]:
            suspect = self.model(job, "victim")
        return self.scene(
            job,
            train[holdout_rows(train, job["seed"], defense.clean)] if defense.clean else None,
            ("defender", purpose),
            granted=suspect.copy() if suspect else None,
            trainer=self.trainer(job) if fit else None,
            **self._preparation(job),
        )

    def _preparation(self, job: Job) -> dict[str, Any]:
        """Return what a defense learns from while it prepares, and what it learned in the stages after that."""
        if job["stage"] == "prepare":
            return {"shadows": self.shadows(job), "others": self.others(job)}
        if job["stage"] == "shadows":
            return {}
        return {
            "prepared": self.cache("prepare", str(job["parents"].get("prepare")), lambda: self.tensors(job, "prepare"))
        }

    def tested(self, job: Job) -> Split:
        """Return the test split as this row has it: a benign attack may have processed it.

        Raises:
            ContractError: when that processing breaks the contract of ``stamp``.
        """
        if not self.attack(job).benign:
            return self.data(job).test
        return self.cache("tested", self._stamp_key(job), lambda: self._tested(job))

    def _tested(self, job: Job) -> Split:
        test = self.data(job).test
        return Split(self._stamped(job, test.images), test.labels)

    def triggered(self, job: Job) -> Stamped:
        """Return the test images that the attacker wants to turn, stamped.

        Raises:
            ContractError: when the stamp breaks its contract, changes nothing, or does not repeat itself.
        """
        return self.cache("triggered", self._stamp_key(job), lambda: self._triggered(job))

    def _stamp_key(self, job: Job) -> str:
        craft = job["parents"].get("craft", ("", ""))[1]
        return f"{job['attack']}/{craft}/{job['parents']['data'][1]}/{job['seed']}/{job.get('poison_rate')}"

    def _triggered(self, job: Job) -> Stamped:
        attack, test = self.attack(job), self.data(job).test
        wanted = attack.target_labels(test.labels, self.attacker(job, "target"))
        if attack.benign:
            none = test.labels[:0]
            return Stamped(none, test.images[:0], none, test.images[:0])
        rows = (test.labels != wanted).nonzero().squeeze(1)
        clean = test.images[rows]
        stamped = self._stamped(job, clean)
        checks.changes_pixels(attack.name, clean, stamped)
        control = checks.images(
            attack.name, "control", clean, attack.control(clean.clone(), self.attacker(job, "stamp"))
        )
        return Stamped(rows, stamped, wanted[rows], control)

    def _stamped(self, job: Job, images: Tensor) -> Tensor:
        attack = self.attack(job)
        stamped, again = (attack.stamp(images.clone(), self.attacker(job, "stamp")) for _ in range(2))
        checks.repeats(attack.name, "stamp", checks.images(attack.name, "stamp", images, stamped), again)
        return stamped.to(images.device)
