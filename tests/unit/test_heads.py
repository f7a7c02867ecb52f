"""The last layer of networks: attacks and defenses look into it, so it has to make the logits by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchkit.errors import SpecError
from benchkit.models.classifier import Classifier
from benchkit.models.create import create, require_usable

CPU = torch.device("cpu")
IMAGES = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()


def classifier(name: str) -> Classifier:
    torch.manual_seed(0)
    return Classifier(create(name, 10, (3, 32, 32), CPU), torch.full((3,), 0.5), torch.full((3,), 0.25))


@pytest.mark.parametrize("name", ["dla46_c", "resnetv2_18", "dpn48b"])
def test_a_head_that_is_a_convolution_over_one_pixel_is_the_linear_layer_it_is(name: str) -> None:
    require_usable(name)
    model, batch = classifier(name), IMAGES
    seen: list[Tensor] = []
    handle = model.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    logits, features = model.logits(batch), model.features(batch)
    handle.remove()
    assert features.shape == seen[0].shape == (5, model.head.in_features)
    assert torch.allclose(model.head(features), logits, atol=1e-5)
    assert torch.equal(model.copy().logits(batch), logits)
    model(batch / 255).sum().backward()
    assert model.head.weight.grad is not None


def test_the_weights_of_a_convolutional_head_stay_what_timm_drew() -> None:
    import timm

    torch.manual_seed(0)
    drawn = timm.create_model("dla46_c", num_classes=10)
    torch.manual_seed(0)
    made, batch = create("dla46_c", 10, (3, 32, 32), CPU), torch.rand(2, 3, 32, 32)
    assert torch.allclose(made.eval()(batch), drawn.eval()(batch), atol=1e-6)
    assert made.state_dict().keys() == drawn.state_dict().keys()


TWO_HEADS = ["deit_tiny_distilled_patch16_224", "levit_128s", "crossvit_tiny_240", "pit_ti_distilled_224"]


@pytest.mark.parametrize("name", [*TWO_HEADS, "efficientvim_m1", "mobilenetv5_300m_enc"])
def test_networks_whose_logits_are_not_those_of_the_last_layer_are_refused_unbuilt(name: str) -> None:
    with pytest.raises(SpecError, match=f"model {name} cannot be used: its logits are not those of its last"):
        require_usable(name)


def test_such_networks_are_refused_when_they_are_built_too() -> None:
    with pytest.raises(SpecError, match="its logits are not those of its last linear layer"):
        create(TWO_HEADS[0], 10, (3, 32, 32), CPU)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            answers: Tensor = self.head(x.mean((2, 3)))
            return 2 * answers

    with pytest.raises(SpecError, match="model twice cannot be used"):
        create("twice", 3, (3, 16, 16), CPU, lambda **_: Twice())


def test_a_network_that_returns_no_tensor_is_refused() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.head(x.mean((2, 3))), x

    with pytest.raises(SpecError, match="model pair cannot be used"):
        create("pair", 3, (3, 16, 16), CPU, lambda **_: Pair())


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050", "narrownet", "mntd_cnn"])
def test_usable_networks_are_usable(name: str) -> None:
    require_usable(name)
