"""TABOR, DeepInspect, NIC and the autoencoder against known answers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from benchkit_plugins.defenses.autoencoder import Autoencoder, AutoencoderPurifier
from benchkit_plugins.defenses.deepinspect import DeepInspect, _sized
from benchkit_plugins.defenses.nic import Nic, activations
from benchkit_plugins.defenses.tabor import Restored, Tabor, variation
from torch import Tensor

import benchkit
from benchkit.ops.outliers import mad_index
from benchkit.testing import worlds

PATCH = worlds.patch(2)
BN = worlds.bn_plant(3, 2)


def test_variation_counts_both_directions() -> None:
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")
    board = ((rows + columns) % 2).float()[None, None]
    assert variation(board).tolist() == [2 * 6 * 5]
    assert variation(torch.full((1, 1, 6, 6), 0.7)).tolist() == [0]
    stripes = (columns % 2).float()[None, None]
    assert variation(stripes).tolist() == variation(stripes.transpose(2, 3)).tolist() == [6 * 5]


def test_labels_without_a_trigger_do_not_make_the_others_outliers() -> None:
    """Six of ten fail and have one quality, so that the median deviation of all is 0."""
    failed, works = [3.0] * 6, torch.tensor([2.0, 2.2, 1.9, 2.1])
    found = Tabor().judged(torch.tensor([*failed, *works]))
    assert found.tolist() == pytest.approx([0.0] * 6 + mad_index(works, "low").tolist())
    assert float(found.max()) < 2
    assert int(Tabor().judged(torch.tensor([*failed, 2.0, 2.1, 1.9, 0.1])).argmax()) == 9
    assert float(Tabor().judged(torch.tensor([3.0] * 9 + [1.0])).max()) > 1e6, "the only one that works is one"
    few = torch.tensor([3.0, 3.0, *works])
    assert torch.equal(Tabor().judged(few), mad_index(few, "low"))


def test_a_label_that_no_perturbation_reaches_is_not_the_smallest() -> None:
    least, last = torch.tensor([5.0, torch.inf, 4.0, torch.inf]), torch.tensor([9.0, 0.1, 9.0, 0.2])
    assert _sized(least, last).tolist() == [5.0, 5.0, 4.0, 5.0]
    assert torch.equal(_sized(torch.full((4,), torch.inf), last), last)


def small(masks: Tensor) -> tuple[benchkit.Split, Tensor, Tensor]:
    batch = PATCH.holdout[:8]
    return batch, torch.full((len(masks), *PATCH.shape), 0.3), torch.arange(len(masks))


def test_without_priors_it_is_the_loss_of_neural_cleanse_without_its_norm() -> None:
    masks = torch.rand(4, 1, *PATCH.shape[1:], generator=torch.Generator().manual_seed(0))
    batch, patterns, labels = small(masks)
    bare = Tabor(large=0, outside=0, scattered=0, blocking=0, alone=0)
    found = bare.losses(masks, patterns, labels, batch, PATCH.model)
    for label in labels.tolist():
        stamped = (1 - masks[label]) * batch.images / 255 + masks[label] * patterns[label]
        expected = F.cross_entropy(PATCH.model(stamped), torch.full((8,), label))
        torch.testing.assert_close(found[label], expected, atol=1e-4, rtol=1e-4)


def test_blocking_asks_for_the_true_label_of_each_image() -> None:
    masks = torch.full((2, 1, *PATCH.shape[1:]), 0.1)
    batch, patterns, labels = small(masks)
    with_it, without = (
        Tabor(large=0, outside=0, scattered=0, blocking=weight, alone=0).losses(
            masks, patterns, labels, batch, PATCH.model
        )
        for weight in (1.0, 0.0)
    )
    expected = F.cross_entropy(PATCH.model(0.9 * batch.images / 255), batch.labels)
    torch.testing.assert_close(with_it - without, expected.expand(2), atol=1e-4, rtol=1e-4)


def test_the_restored_mask_is_the_planted_patch() -> None:
    scene = PATCH.scene(Tabor())
    found = Tabor(steps=100, batch=8).triggers(scene)
    planted = (PATCH.triggered != PATCH.victims.images).any(0).any(0)
    mask = found.masks[2, 0] > 0.5
    assert int((mask & planted).sum()) >= 12
    assert int((mask & ~planted).sum()) <= 8
    assert int(Tabor().qualities(found, scene).argmin()) == 2


def test_quality_prefers_small_masks_that_work() -> None:
    scene = PATCH.scene(Tabor())
    planted = (PATCH.triggered != PATCH.victims.images).any(0).any(0).float()
    masks = torch.stack([planted, torch.ones_like(planted), planted, torch.zeros_like(planted)])[:, None]
    found = Restored(masks, torch.ones(4, *PATCH.shape))
    assert int(Tabor().qualities(found, scene).argmin()) == 2, "the same patch leads nowhere as label 0"


def test_double_deviations_have_the_published_answer() -> None:
    values = torch.tensor([10, 10.5, 9.5, 10.2, 9.8, 1.0]).double()
    indexes = DeepInspect().indexes(values)
    assert int(indexes.argmax()) == 5
    assert float(indexes.max()) > 10
    assert float(DeepInspect().indexes(torch.full((6,), 3.0).double()).max()) == 0


def test_the_generator_perturbs_and_learns_the_smallest_size() -> None:
    scene = PATCH.scene(DeepInspect(rounds=1))
    sizes, shown = DeepInspect(rounds=40, batch=8).sizes(scene)
    assert float(sizes[2]) < 0.5 * float(sizes[torch.arange(PATCH.classes) != 2].min())
    assert shown.shape == (PATCH.classes, *PATCH.shape)
    assert float(shown.min()) < 0 < float(shown.max()), "a perturbation may darken, too"


def test_watched_is_what_every_layer_but_the_first_is_given_after_what_activates_and_pools() -> None:
    images = BN.test.images[:7]
    rows, said = activations(BN.model, images, 4)
    layers = [one for one in BN.model.net.modules() if isinstance(one, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(rows) == len(layers) - 1
    assert all(len(one) == 7 for one in rows)
    assert all(float(one.min()) >= 0 for one in rows), "maps before their activation are below 0, too"
    torch.testing.assert_close(rows[-1], BN.model.features(images).float())
    torch.testing.assert_close(said, BN.model.logits(images).float().softmax(1))


def test_layers_come_in_the_order_in_which_they_run() -> None:
    class Backwards(torch.nn.Module):
        """Three layers, declared from the last to the first."""

        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)
            self.second = torch.nn.Conv2d(3, 4, 1)
            self.first = torch.nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.head(self.second(self.first(images)).amax((2, 3)))
            return found

    net = Backwards()
    model = benchkit.Classifier(net, torch.zeros(3), torch.ones(3)).eval()
    rows, _ = activations(model, torch.zeros(5, 3, 4, 4, dtype=torch.uint8), cells=2)
    assert [one.shape[1] for one in rows] == [3 * 4, 4]


def test_an_answer_that_the_layer_before_does_not_give_is_outside() -> None:
    """Features of one class and the model's answer of another: what only the provenance invariant can see."""
    defense, scene = Nic(), PATCH.scene(Nic())
    placed, said = defense._told(PATCH.test.images, scene.fitted, scene)
    usual = defense._values(placed, said, scene.fitted)
    other = defense._values(placed, [*said[:-1], said[-1].roll(1, 1)], scene.fitted)
    assert torch.equal(usual[:, :-1], other[:, :-1]), "the last pair alone has changed"
    assert float((other[:, -1, None] > usual[None, :, -1]).float().mean()) >= 0.95


def test_far_activations_score_higher_than_copies_of_known_ones() -> None:
    world = worlds.bn_plant(3, 2)
    defense = Nic()
    scene = world.scene(defense)
    clean, far = defense.score(world.test.images, scene), defense.score(world.triggered, scene)
    assert float((far[:, None] > clean[None]).float().mean()) >= 0.95


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 16, 16), (3, 48, 40), (3, 33, 31)])
def test_the_autoencoder_keeps_sizes(shape: tuple[int, int, int]) -> None:
    net = Autoencoder(shape, 4, 2, torch.Generator().manual_seed(0))
    assert net(torch.rand(2, *shape)).shape == (2, *shape)


def test_it_draws_clean_images_and_is_no_identity() -> None:
    defense = AutoencoderPurifier(steps=150, width=16)
    scene = PATCH.scene(defense)
    images = PATCH.test.images
    drawn = defense.purify(images, scene)
    assert drawn.shape == images.shape
    assert drawn.dtype == torch.uint8
    error = (drawn.float() - images.float()).square().mean() / 255**2
    assert 0.0001 < float(error) < 0.02, "neither a copy (PSNR 40 dB) nor a grey image"
    assert PATCH.clean_accuracy() == float((PATCH.model.logits(drawn).argmax(1) == PATCH.test.labels).float().mean())


def test_what_was_stored_is_what_purifies() -> None:
    defense = AutoencoderPurifier(steps=2)
    scene = PATCH.scene(defense)
    images = PATCH.test.images[:5]
    assert torch.equal(defense.purify(images, scene), defense.purify(images, scene))
    assert defense.purify(images[:0], scene).shape == images[:0].shape
