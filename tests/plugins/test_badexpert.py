"""BaDExpert on a planted victim: what its two models keep and lose, and the score that compares them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from benchkit_plugins._shared.halves import drawn_halves
from benchkit_plugins.defenses.badexpert import EXPERT, SHADOW, BaDExpert
from torch import Tensor, nn

import benchkit
from benchkit.testing import worlds


def part(fitted: benchkit.Tensors, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in fitted.items() if name.startswith(prefix)}


def test_the_expert_keeps_the_backdoor_and_loses_the_task() -> None:
    world, defense = worlds.patch(2), BaDExpert()
    fitted = world.scene(defense).fitted
    expert, shadow = world.model.copy(), world.model.copy()
    expert.restore(part(fitted, EXPERT))
    shadow.restore(part(fitted, SHADOW))
    assert world.asr(expert) >= 0.9
    assert world.clean_accuracy(expert) <= 0.2
    assert world.clean_accuracy(shadow) >= 0.9


def test_images_of_one_batch_are_enough_to_unlearn_and_too_few_passes_are_said() -> None:
    world = worlds.patch(2)
    held = world.holdout[torch.randperm(len(world.holdout), generator=torch.Generator().manual_seed(0))[:40]]
    scene = dataclasses.replace(world.scene(BaDExpert()), held=held)
    expert = world.model.copy()
    expert.restore(part(BaDExpert().fit(scene), EXPERT))
    learned = drawn_halves(held)[0]
    assert float((expert.logits(learned.images).argmax(1) == learned.labels).double().mean()) < 0.2
    with pytest.raises(benchkit.BenchkitError, match="raise unlearn_epochs"):
        BaDExpert(unlearn_lr=1e-9, unlearn_epochs=1).fit(scene)


class Fixed(nn.Module):
    """Answers with one row of probabilities, whatever it sees."""

    def __init__(self, first: float) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.copy_(torch.tensor([first, 1 - first]).log())

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(x[:, :1, 0, 0])
        return logits


@pytest.mark.parametrize(
    ("expert", "shadow", "score"),
    [
        (0.9, 0.1, -min(2 * 0.1 / 0.9, 0.1 / 0.4)),  # only the expert agrees: the backdoor
        (0.9, 0.45, -min(2 * 0.45 / 0.9, 0.1 / 0.05)),
        (0.2, 0.4, -min(2 * 0.4 / 0.2, 0.8 / 0.1)),
        (0.1, 0.9, -2 * 0.9 / 0.1),  # only the shadow agrees: the task
    ],
)
def test_the_score_compares_what_both_say_of_the_victims_answer(expert: float, shadow: float, score: float) -> None:
    models = [benchkit.Classifier(Fixed(first), torch.zeros(3), torch.ones(3)) for first in (0.99, expert, shadow)]
    states = zip((EXPERT, SHADOW), models[1:], strict=True)
    fitted = {prefix + name: one for prefix, model in states for name, one in model.state().items()}
    none = benchkit.Split(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))
    scene = benchkit.Scene(2, (3, 8, 8), torch.device("cpu"), none, torch.Generator(), granted=models[0])
    scene = dataclasses.replace(scene, fitted=fitted)
    found = BaDExpert().score(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), scene)
    assert found.tolist() == pytest.approx([score] * 2, rel=0.05)
