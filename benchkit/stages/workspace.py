"""What a worker process keeps between steps, and one step at work: its job decoded once, its parents loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Data, Poisoned, Source, Split
from benchkit.contracts.defense import Defense
from benchkit.contracts.trained import learned_in, weights_in
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.plan.job import DATA, OTHER, POISON, SHADOWS, SUSPECTS, Job, Ref, Role
from benchkit.protocol import victim_rows
from benchkit.spec.registry import Registry
from benchkit.spec.spec import component, recipe
from benchkit.stages.cache import Cache
from benchkit.store.store import Store
from benchkit.training.trainer import Trainer

Result = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""An artifact: its tensors, and JSON to keep beside them."""


class Workspace:
    """What one process works with. It keeps the last thing of each kind that was loaded, for the next step."""

    def __init__(self, store: Store, registry: Registry, device: torch.device, source: Source) -> None:
        self.store, self.registry, self.device, self.source = store, registry, device, source
        self.cache = Cache()

    def task(self, job: Job) -> Task:
        """Return a step at work."""
        return Task(self, job)


class Task:
    """One step at work. What it hands to plugins is shared with later steps, but for models, which are copies."""

    def __init__(self, workspace: Workspace, job: Job) -> None:
        self.workspace, self.job = workspace, job
        self.store, self.registry, self.device = workspace.store, workspace.registry, workspace.device
        self.cache = workspace.cache

    @cached_property
    def attack(self) -> Attack:
        """The attack that the step names."""
        attack: Attack = component(self.job.attack, "attacks", self.registry)
        return attack

    @cached_property
    def defense(self) -> Defense:
        """The defense that the step names."""
        defense: Defense = component(self.job.defense, "defenses", self.registry)
        return defense

    def has(self, role: Role) -> bool:
        """Say whether the step has such a parent."""
        return role in self.job.parents

    def ref(self, role: Role) -> Ref:
        """Return where a parent is; ``("", "")`` if the step has no such parent."""
        return self.job.parents.get(role, Ref("", ""))

    def info(self, role: Role) -> dict[str, Any]:
        """Return what was kept beside a parent's tensors, or nothing if the step has no such parent."""
        return dict(self.store.meta(*self.ref(role))["info"]) if self.has(role) else {}

    def load(self, role: Role) -> dict[str, Tensor]:
        """Return a parent's tensors on the device, or nothing if the step has no such parent."""
        loaded = self.store.load(*self.ref(role)) if self.has(role) else {}
        return {name: tensor.to(self.device) for name, tensor in loaded.items()}

    def kept(self, role: Role) -> dict[str, Tensor]:
        """Return what ``load`` does, read once for all steps in a row that have this parent."""
        return self.cache(role.kind, self.ref(role).key, lambda: self.load(role))

    @property
    def data(self) -> Data:
        """The dataset of the step, on the device."""
        return self.cache("dataset", self.ref(DATA).key, self._data)

    def _data(self) -> Data:
        found = self.load(DATA)
        info = self.info(DATA)
        names = info.get("attributes", [])
        train, test = (
            Split(
                found[f"{part}_images"],
                found[f"{part}_labels"],
                {name: found[f"{part}_has_{name}"] for name in names},
            )
            for part in ("train", "test")
        )
        return Data(train, test, tuple(info["classes"]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = map(int, self.data.train.images.shape[1:])
        return channels, height, width

    def others(self) -> dict[str, Split]:
        """Return the training splits of the datasets that a defense learns from, by their text."""
        found = {role.which: self.load(role) for role, _ in self.job.of(OTHER)}
        return {text: Split(parts["train_images"], parts["train_labels"]) for text, parts in found.items()}

    @property
    def victim_train(self) -> Split:
        """The clean training set of victims: all but the defenders' reserve."""
        train, seed = self.data.train, self.job.seed
        return self.cache("train", f"{self.ref(DATA).key}/{seed}", lambda: train[victim_rows(train.labels, seed)])

    @property
    def poisoned(self) -> Poisoned:
        """The poisoned training set that a ``poison`` step left."""
        return self.cache("poisoned", self.ref(POISON).key, self._poisoned)

    def _poisoned(self) -> Poisoned:
        found = self.load(POISON)
        rows = found["rows"]
        made = Poisoned.replacing(self.victim_train, rows, found["images"], found["labels"])
        cover = torch.zeros_like(made.mask)
        cover[rows] = found["cover"]
        return Poisoned(made.data, made.mask & ~cover, cover)

    def model(self, role: Role) -> Classifier:
        """Return a copy of the model that a ``train`` step left."""
        key = f"{self.ref(role).key}/{self.job.model}"
        return self.cache(f"{role.kind} model", key, lambda: self.restored(weights_in(self.load(role)))).copy()

    def learned(self, role: Role) -> dict[str, Tensor]:
        """Return what the attack of a ``train`` step learned beside its model."""
        return self.cache("learned", self.ref(role).key, lambda: learned_in(self.load(role)))

    def restored(self, state: Mapping[str, Tensor]) -> Classifier:
        """Return a model of the step's architecture with these weights, in eval mode."""
        model = Classifier(self.network(), state["mean"], state["std"])
        model.restore(state)
        return model.eval()

    def models(self, role: Role) -> list[Classifier]:
        """Return the models of the step's architecture that another step left stacked."""
        state = self.load(role)
        found = [dict(zip(state, one, strict=True)) for one in zip(*state.values(), strict=True)]
        first = self.restored(found[0])
        rest = [first.copy() for _ in found[1:]]
        for model, one in zip(rest, found[1:], strict=True):
            model.restore(one)
        return [first, *rest]

    def suspects(self) -> list[Classifier]:
        """Return the models that a model detector is to judge."""
        return [self.model(SUSPECTS)] if self.ref(SUSPECTS).stage == "train" else self.models(SUSPECTS)

    def shadows(self) -> list[Classifier]:
        """Return the shadow models that a step may learn from, by number."""
        wanted = self.defense.shadows()
        model = (wanted.model if wanted else "") or self.job.model
        theirs = self.workspace.task(replace(self.job, model=model))
        return [one for role, _ in self.job.of(SHADOWS) for one in theirs.models(role)]

    def network(self) -> torch.nn.Module:
        """Return a network of the step's architecture, with random weights."""
        hook = self.registry.manager.hook.benchkit_model
        return create(self.job.model, len(self.data.classes), self.shape, self.device, hook)

    @cached_property
    def trainer(self) -> Trainer:
        """The benchmark's trainer for the step's recipe and architecture."""
        return Trainer(recipe(self.job.recipe), self.network, self.device)
