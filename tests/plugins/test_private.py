"""Private training: clipped gradients, noise, privacy loss, and what has a large loss under it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from attack_scenes import noise, seeded
from benchkit_plugins._shared.privacy import NO_PRIVACY, Private, epsilon, private_gradients, renyi, small_network
from benchkit_plugins.defenses.dp_sgd import PrivateLoss, PrivateSgd
from torch import Tensor

import benchkit
from benchkit.testing.world import CLASSES, world

WORLD = world(3, 16)
DATA = WORLD.data.train
BATCH = DATA[:20]
PLAIN = Private(clip=math.inf, noise=0.0, batch=64, epochs=1, lr=0.1)


def model() -> benchkit.Classifier:
    return small_network(WORLD.drawing())


def gradients(how: Private, batch: benchkit.Split = BATCH, seed: int = 0, expected: float = 20.0) -> Tensor:
    """Return the private gradient of a fresh network, as one vector."""
    made = model()
    private_gradients(made, batch, how, expected, seeded(seed))
    return torch.cat([weight.grad.flatten() for weight in made.parameters() if weight.grad is not None])


def test_without_clipping_and_noise_the_gradient_is_that_of_the_mean_loss() -> None:
    plain = model()
    F.cross_entropy(plain.net(plain.normalised(BATCH.images)), BATCH.labels).backward()
    wanted = torch.cat([weight.grad.flatten() for weight in plain.parameters() if weight.grad is not None])
    torch.testing.assert_close(gradients(PLAIN), wanted, atol=1e-6, rtol=1e-5)


def test_the_gradient_of_each_image_is_clipped_on_its_own() -> None:
    alone = [gradients(PLAIN, BATCH[row : row + 1], expected=1) for row in range(3)]
    clip = 0.5 * float(min(one.norm() for one in alone))
    clipped = Private(clip, 0.0, 64, 1, 0.1)
    wanted = torch.stack([clip * one / one.norm() for one in alone]).sum(0) / 20
    torch.testing.assert_close(gradients(clipped, BATCH[:3]), wanted, atol=1e-7, rtol=1e-4)
    assert float(gradients(clipped, BATCH[:1], expected=1).norm()) <= clip * (1 + 1e-5)


def test_noise_is_added_once_to_the_sum() -> None:
    noisy, still = (gradients(Private(0.5, sigma, 64, 1, 0.1), expected=40) for sigma in (4.0, 0.0))
    assert float((noisy - still).std()) == pytest.approx(4 * 0.5 / 40, rel=0.05)
    assert not torch.equal(noisy, gradients(Private(0.5, 4.0, 64, 1, 0.1), seed=1, expected=40))


def test_a_batch_may_be_empty() -> None:
    assert not gradients(PLAIN, BATCH[:0]).any()


def test_batches_are_poisson_samples() -> None:
    how = Private(1.0, 1.0, 50, 40, 0.1)
    sizes = torch.tensor([float(len(rows)) for rows in how._batches(1000, seeded())])
    assert len(sizes) == 800
    assert float(sizes.mean()) == pytest.approx(50, abs=1)  # standard error 0.24
    assert float(sizes.std()) == pytest.approx(math.sqrt(47.5), rel=0.1)


@pytest.mark.parametrize(
    ("rate", "sigma", "steps", "published"),
    [
        (0.01, 4.0, 10_000, 1.26),  # Abadi et al., section 3.2
        (256 / 60_000, 1.3, 15 * 60_000 // 256, 1.19),  # the other two: the tutorial of TensorFlow Privacy on MNIST
        (256 / 60_000, 1.1, 60 * 60_000 // 256, 3.01),
    ],
)
def test_the_privacy_loss_is_the_published_one(rate: float, sigma: float, steps: int, published: float) -> None:
    assert epsilon(rate, sigma, steps, 1e-5) == pytest.approx(published, abs=0.005)


def test_divergences_are_those_of_the_gaussian_and_of_its_second_order() -> None:
    assert renyi(1.0, 2.0, 8) == 8 / (2 * 4)
    q, sigma = 0.2, 1.5
    assert renyi(q, sigma, 2) == pytest.approx(math.log(1 + q * q * (math.exp(1 / sigma**2) - 1)))
    assert epsilon(q, 0.0, 1, 1e-5) == NO_PRIVACY
    assert epsilon(q, 1.0, 10, 1e-5) < epsilon(q, 0.8, 10, 1e-5) < epsilon(q, 0.8, 20, 1e-5)


def test_a_network_of_its_own_follows_from_no_image() -> None:
    made = small_network(WORLD.drawing(seed=1))
    assert made.mean.tolist() == [0.5] * 3
    assert not any("Norm" in type(layer).__name__ for layer in made.modules())
    assert made.logits(noise(2, (3, 16, 16))).shape == (2, CLASSES)


def test_a_private_model_learns_what_many_images_have_in_common() -> None:
    defense = PrivateSgd(batch=64, epochs=12)
    said = defense.train(DATA, WORLD.defending(defense))
    assert (said.score.logits(WORLD.data.test.images).argmax(1) == WORLD.data.test.labels).float().mean() > 0.9
    assert said.metrics["epsilon"] == epsilon(0.25, 1.0, 48, 1 / 2560)


def test_wrong_labels_have_the_largest_losses() -> None:
    """Of 256 labels 6 are wrong; a share of 5 % are dropped, no more."""
    rows = torch.arange(0, 256, 43)
    labels = DATA.labels.clone()
    labels[rows] = (labels[rows] + 1) % CLASSES
    defense = PrivateLoss(batch=64, epochs=12, drop=0.05)
    found = defense.suspicion(benchkit.Split(DATA.images, labels), WORLD.defending(defense))
    assert int((found > 0).sum()) == benchkit.share_of(0.05, 256)
    wrong = torch.zeros(256, dtype=torch.bool)
    wrong[rows] = True
    auroc = (found[wrong][:, None] > found[~wrong][None]).float().mean()
    assert auroc > 0.9


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(benchkit.BenchkitError, match="private training diverged: lower its learning rate"):
        Private(1e9, 0.0, 64, 4, 1e38).trained(model(), DATA, seeded())
