"""SGD and Adam without torch's optimizer classes: the same weights to the bit, and no compiler in the process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchkit.training.functional import Adam, Sgd

SGD: dict[str, Any] = {"momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
Make = Callable[[list[nn.Parameter]], Any]


def weights() -> list[nn.Parameter]:
    rng = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=rng)) for shape in ((40, 30), (30,), (4, 3, 2, 2))]


def moved(make: Make, step: Callable[[Any, float], None]) -> list[Tensor]:
    """Return weights after a few steps with different rates, of which the last weight takes part in every other."""
    given, rng = weights(), torch.Generator().manual_seed(4)
    made = make(given)
    for number, factor in enumerate((1.0, 0.7, 0.5, 0.1)):
        for weight in given:
            weight.grad = torch.randn(weight.shape, generator=rng)
        if number % 2:
            given[-1].grad = None
        step(made, factor)
    return [weight.detach() for weight in given]


def as_torch(made: torch.optim.Optimizer, factor: float) -> None:
    for group in made.param_groups:
        group["lr"] = 0.05 * factor
    made.step()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda given: Sgd(given, 0.05, **SGD), lambda given: torch.optim.SGD(given, 0.05, foreach=True, **SGD)),
        (
            lambda given: Sgd(given, 0.05, momentum=0, weight_decay=0.0, nesterov=False),
            lambda given: torch.optim.SGD(given, 0.05, foreach=True),
        ),
        (lambda given: Adam(given, 0.05, fused=True), lambda given: torch.optim.Adam(given, 0.05, fused=True)),
        (lambda given: Adam(given, 0.05, fused=False), lambda given: torch.optim.Adam(given, 0.05, foreach=True)),
    ],
    ids=["sgd", "sgd without momentum", "fused adam", "adam"],
)
def test_weights_are_those_of_torch_to_the_bit(ours: Make, theirs: Make) -> None:
    found, expected = moved(ours, lambda made, factor: made.step(factor)), moved(theirs, as_torch)
    assert all(map(torch.equal, found, expected))
    assert not any(map(torch.equal, found, weights()))


@pytest.mark.parametrize("make", [lambda given: Sgd(given, 0.05, **SGD), lambda given: Adam(given, 0.05, fused=True)])
def test_without_gradients_nothing_moves(make: Make) -> None:
    given = weights()
    make(given).step(1.0)
    assert all(map(torch.equal, given, weights()))


def test_training_imports_no_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from benchkit.training.optimizers import OPTIMIZERS\n"
        "for name, how in (('sgd', {'momentum': 0.9, 'weight_decay': 0.0}), ('adam', {}), ('muon', {'adam_lr': 1})):\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2))\n"
        "    update = OPTIMIZERS[name](net, 0.1, **how)\n"
        "    net(torch.rand(2, 1, 4, 4)).square().sum().backward()\n"
        "    update(1.0)\n"
        "print([name for name in ('torch._dynamo', 'sympy', 'triton') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
