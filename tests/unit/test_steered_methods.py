"""Published methods as steerings and models of models, with the answers that are known of each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import benchkit
from benchkit.contracts.steering import Fit
from benchkit.testing.world import CLASSES, world

WORLD = world(3, 16)
DATA, TEST = WORLD.data.train, WORLD.data.test


def fit(data: benchkit.Split = DATA, **settings: Any) -> benchkit.Classifier:
    return WORLD.trainer.fit(data, Fit(**{"epochs": 1, **settings}), rng=torch.Generator().manual_seed(3))


def accuracy(model: benchkit.Classifier) -> float:
    return float((model.logits(TEST.images).argmax(1) == TEST.labels).double().mean())


def flat(model: benchkit.Classifier) -> Tensor:
    """Return all weights as one vector."""
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


class Frozen(benchkit.Steering):
    """Batch normalisation, which mixes images, keeps its statistics."""

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        for layer in step.model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return step.replaced(images=step.floats)


class Private(Frozen):
    """DP-SGD (Abadi et al., CCS 2016): the gradient of each image is clipped, and noise is added to their sum."""

    def __init__(self, clip: float, noise: float) -> None:
        self.clip, self.noise, self.rng = clip, noise, torch.Generator().manual_seed(0)
        self.sums: list[float] = []

    def gradients(self, step: benchkit.Step) -> Tensor:
        net, images = step.model.net, step.model.normalised(step.images)
        weights = dict(net.named_parameters())

        def alone(state: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            logits = functional_call(net, state, (image[None],))
            return F.cross_entropy(logits, label[None], label_smoothing=step.smoothing)

        fixed = {name: weight.detach() for name, weight in weights.items()}
        each: dict[str, Tensor] = vmap(grad(alone), (None, 0, 0))(fixed, images, step.labels)
        norms: Tensor = torch.stack([one.flatten(1).norm(dim=1) for one in each.values()]).norm(dim=0)
        factors = (self.clip / norms).clamp(max=1)
        for name, weight in weights.items():
            total = torch.einsum("b,b...->...", factors, each[name])
            drawn = torch.randn(total.shape, generator=self.rng) * self.noise * self.clip if self.noise else 0.0
            weight.grad = (total + drawn) / len(norms)
        self.sums.append(float((factors * norms).max()))
        return norms.detach().mean()


def test_private_training_without_clipping_and_noise_is_plain_training() -> None:
    plain, private = (flat(fit(start=WORLD.victim, steering=one)) for one in (Frozen(), Private(1e9, 0.0)))
    assert (private - plain).norm() < 0.05 * (plain - flat(WORLD.victim)).norm()
    clipped = Private(0.1, 1.0)
    assert (flat(fit(start=WORLD.victim, steering=clipped)) - plain).norm() > 0.5 * (plain - flat(WORLD.victim)).norm()
    assert max(clipped.sums) <= 0.1 * (1 + 1e-5)


class MaxUp(benchkit.Steering):
    """MaxUp (Gong et al., CVPR 2021): of several augmented copies of an image, the worst one counts."""

    def __init__(self, copies: int) -> None:
        self.copies = copies

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        many = {name: torch.cat([getattr(step, name)] * self.copies) for name in ("images", "labels", "rows")}
        return step.replaced(**many)

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        losses = F.cross_entropy(logits, step.labels, label_smoothing=step.smoothing, reduction="none")
        return losses.view(self.copies, -1).amax(0)


def test_of_one_copy_the_worst_is_that_one() -> None:
    one, plain = fit(steering=MaxUp(1)), fit()
    torch.testing.assert_close(one.head.weight, plain.head.weight, atol=0.02, rtol=0)
    assert accuracy(fit(epochs=4, steering=MaxUp(2))) > 0.9


class Boxes(benchkit.Steering):
    """CutMix (Yun et al., ICCV 2019), with a box of a quarter of the image: labels follow its area."""

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        other, mixed = step.images.roll(1, 0), step.floats.clone()
        mixed[..., :8, :8] = other[..., :8, :8] / 255
        soft = F.one_hot(step.labels, CLASSES).float()
        return step.replaced(images=mixed, labels=0.75 * soft + 0.25 * soft.roll(1, 0))

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        assert step.labels.shape == (len(step.rows), CLASSES)
        assert step.labels.sum(1).allclose(torch.ones(len(step.rows)))
        return super().loss(logits, step)


def test_boxes_of_other_images_are_learned_with_their_labels() -> None:
    assert accuracy(fit(epochs=8, steering=Boxes())) > 0.9


def stamped(images: Tensor) -> Tensor:
    """Return the images with a corner of 2.0, which no image has: the defender's own trigger."""
    return F.pad(images[..., 4:, 4:], (4, 0, 4, 0), value=2.0)


class Defensive(benchkit.Steering):
    """PDB (Wei et al., NeurIPS 2024): some rows show the defender's trigger, and the next class as their label."""

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        own = self.held[step.rows]
        images = torch.where(own[:, None, None, None], stamped(step.floats), step.floats)
        return step.replaced(images=images, labels=torch.where(own, (step.labels + 1) % CLASSES, step.labels))


def test_a_defensive_backdoor_is_undone_behind_the_model() -> None:
    held = torch.arange(len(DATA)) % 3 == 0
    inner = fit(epochs=16, steering=Defensive(held))
    model = benchkit.Preprocessed(inner, before=stamped, after=lambda logits: logits.roll(-1, 1))
    assert accuracy(inner) > 0.9
    assert accuracy(model) > 0.9
    assert accuracy(benchkit.Preprocessed(inner, before=stamped)) < 0.2


def certified(votes: Tensor) -> Tensor:
    """Return how many insertions cannot change a plurality (Levine and Feizi, ICLR 2021, theorem 1): int64 (N,)."""
    most, winner = votes.max(1)
    classes = torch.arange(votes.shape[1])
    rivals = votes + (classes < winner[:, None]).float()
    rivals[classes == winner[:, None]] = -1
    return ((most - rivals.amax(1)) / 2).floor().clamp(min=0).long()


def test_an_ensemble_of_partitions_has_the_votes_that_a_certificate_needs() -> None:
    parts = DATA.images.long().sum((1, 2, 3)) % 3
    model = benchkit.Ensemble([fit(DATA[parts == part], epochs=8) for part in range(3)], "majority")
    votes = model.logits(TEST.images)
    assert torch.equal(votes.sum(1), torch.full((len(TEST),), 3.0))
    assert accuracy(model) > 0.9
    assert certified(votes)[votes.amax(1) == 3].tolist() == [1] * int((votes.amax(1) == 3).sum())


@pytest.mark.parametrize(("votes", "radius"), [([10, 6], 2), ([6, 10], 1), ([8, 8], 0)])
def test_radii_are_those_of_the_paper(votes: list[int], radius: int) -> None:
    assert certified(torch.tensor([votes]).float()).tolist() == [radius]


def test_sharpness_aware_fine_tuning_is_a_setting_of_a_fit() -> None:
    sam = benchkit.Sam(2.0, adaptive=True)
    assert accuracy(fit(start=WORLD.victim, epochs=2, optimizer="sgd", sam=sam)) > 0.9
