"""What an attacker's own training gives: the victim, and beside it what ``stamp`` needs of what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.errors import ContractError

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Tensors
    from benchkit.models.classifier import Classifier

LEARNED = "learned."
"""Begins the stored names of what was learned; those of a classifier are ``mean``, ``std`` and ``net.*``."""


@dataclass(frozen=True)
class Trained:
    """The result of an attack's ``train`` with ``learns = True``.

    Attributes:
        model: the victim.
        learned: what else the training learned, by name: the weights of a generator, for example. The names differ
            from those of ``prepare`` and ``draw``, since ``scene.prepared`` holds all of them.
    """

    model: Classifier
    learned: Tensors

    def state(self) -> dict[str, Tensor]:
        """Return both as the tensors of one artifact."""
        return {**self.model.state(), **{LEARNED + name: one for name, one in self.learned.items()}}


def weights_in(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the model's part of an artifact."""
    return {name: one for name, one in found.items() if not name.startswith(LEARNED)}


def learned_in(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the learned part of an artifact, by the names that the attack gave."""
    return {name.removeprefix(LEARNED): one for name, one in found.items() if name.startswith(LEARNED)}


def require_network(name: str, victim: Classifier, own: Mapping[str, Tensor], called: str) -> None:
    """Check that a victim can be stored: that it is a network of the architecture that is asked for.

    Args:
        name: whose ``train`` returned it.
        victim: the model.
        own: the state of a network of that architecture.
        called: its name.

    Raises:
        ContractError: in one sentence.
    """
    wanted = {f"net.{part}": value.shape for part, value in own.items()}
    got = {part: value.shape for part, value in victim.state_dict().items() if part not in {"mean", "std"}}
    if got != wanted:
        raise ContractError(
            f"{name}.train returned a model of type {type(victim).__name__} that is no {called}: victims are stored as "
            "weights of the network that --model names, so train scene.network() or return the model of scene.fit, "
            "and offer another network with benchkit_model"
        )
