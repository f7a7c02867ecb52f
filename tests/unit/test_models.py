from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchkit.errors import ContractError, SpecError
from benchkit.models.classifier import Classifier
from benchkit.models.create import create, require_known
from benchkit.models.networks import NarrowNet

CPU = torch.device("cpu")


def images(count: int, shape: tuple[int, int, int] = (3, 16, 16), seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *shape), generator=generator).byte()


def classifier(name: str = "narrownet", shape: tuple[int, int, int] = (3, 16, 16), seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    channels = shape[0]
    net = create(name, 10, shape, CPU)
    return Classifier(net, torch.linspace(0.4, 0.6, channels), torch.linspace(0.2, 0.3, channels))


class Mean(nn.Module):
    """Logits that can be computed by hand: the mean of each channel, through an identity head."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.head(x.mean((2, 3)))
        return answers


def test_pixels_are_scaled_and_normalised_per_channel() -> None:
    model = Classifier(Mean(), torch.tensor([0.5, 0.25, 0.0]), torch.tensor([0.5, 0.25, 2.0]))
    batch = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    assert model(batch).tolist() == [pytest.approx([1.0, 3.0, 0.5])]
    assert model(batch.float() / 255).tolist() == [pytest.approx([1.0, 3.0, 0.5])]


@pytest.mark.parametrize("name", ["narrownet", "preactresnet18", "resnet18"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 8, 8), (3, 24, 40)])
def test_networks_take_images_of_any_kind(name: str, shape: tuple[int, int, int]) -> None:
    model = classifier(name, shape)
    batch = images(3, shape)
    assert model(batch).shape == (3, 10)
    assert model.features(batch).shape == (3, model.head.in_features)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_logits_are_those_of_forward_and_leave_the_mode_alone(dtype: torch.dtype) -> None:
    model = classifier()
    batch = images(700) if dtype == torch.uint8 else images(700) / 255
    model.train()
    logits = model.logits(batch)
    assert model.training
    assert logits.dtype == torch.float32
    assert not logits.requires_grad
    assert torch.allclose(logits, model.eval()(batch), atol=2e-3)


def test_uint8_and_float_images_give_the_same_logits() -> None:
    model, batch = classifier(), images(20)
    assert torch.allclose(model.logits(batch), model.logits(batch.float() / 255), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("name", ["narrownet", "preactresnet18", "resnet18"])
def test_features_are_the_input_of_the_head(name: str) -> None:
    model = classifier(name, (3, 32, 32))
    batch = images(9, (3, 32, 32))
    assert torch.allclose(model.head(model.features(batch)), model.logits(batch), atol=1e-5)
    assert not model.head._forward_pre_hooks


def test_logits_are_not_rounded_to_bfloat16() -> None:
    logits = classifier().logits(images(50))
    assert (logits != logits.bfloat16().float()).float().mean() > 0.9


def test_gradients_reach_images_and_every_weight() -> None:
    model = classifier()
    batch = (images(4) / 255).requires_grad_()
    model(batch).square().sum().backward()
    assert batch.grad is not None
    assert batch.grad.abs().sum() > 0
    assert all(weight.grad is not None for weight in model.parameters())


def test_the_last_convolution_and_the_head_are_the_networks_last() -> None:
    model = classifier("preactresnet18")
    assert model.last_conv.out_channels == 512
    assert model.last_conv.kernel_size == (3, 3)
    assert model.head.out_features == 10


def test_a_copy_is_independent() -> None:
    model, batch = classifier(), images(5)
    before = model.logits(batch)
    twin = model.copy()
    assert torch.equal(twin.logits(batch), before)
    with torch.no_grad():
        twin.head.weight.add_(1)
        twin.mean.add_(0.3)
    assert torch.equal(model.logits(batch), before)
    assert not torch.equal(twin.logits(batch), before)


def test_state_restores_the_same_model_exactly() -> None:
    model, other, batch = classifier(seed=1), classifier(seed=2), images(5)
    other.mean.add_(0.1)
    state = model.state()
    assert all(value.is_contiguous() and value.device == CPU for value in state.values())
    assert not torch.equal(model.logits(batch), other.logits(batch))
    other.restore(state)
    assert torch.equal(model.logits(batch), other.logits(batch))


def test_state_is_a_snapshot() -> None:
    model = classifier()
    state = model.state()
    with torch.no_grad():
        model.head.weight.add_(1)
    assert not torch.equal(state["net.head.weight"], model.head.weight)


def test_a_network_without_a_linear_layer_is_refused() -> None:
    with pytest.raises(ContractError, match=r"has no nn\.Linear"):
        Classifier(nn.Conv2d(3, 3, 1), torch.zeros(3), torch.ones(3))


@pytest.mark.parametrize("name", ["slimnet", "narrownet", "narrownet_x2", "airbench94", "preactresnet18"])
def test_our_networks_are_known_and_built_by_name(name: str) -> None:
    require_known(name)
    assert create(name, 7, (1, 32, 32), CPU)(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


def test_our_networks_need_no_timm() -> None:
    """Its import takes longer than torch's, and every worker of every run would pay for it."""
    code = "import sys; from benchkit.models.create import create; create('narrownet', 10, (3, 32, 32), 'cpu')"
    code += "; sys.exit('timm' in sys.modules or 'torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_field_network_has_the_parameters_of_the_field() -> None:
    assert sum(weight.numel() for weight in create("preactresnet18", 10, (3, 32, 32), CPU).parameters()) == 11_171_146


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("slimnet", (16, 32, 64)),
        ("narrownet", (16, 64, 128)),
        ("narrownet_x2", (32, 128, 256)),
        ("airbench94", (64, 256, 256)),
    ],
)
def test_the_networks_for_cpus_have_the_widths_they_are_named_for(name: str, widths: tuple[int, ...]) -> None:
    groups: Any = create(name, 10, (3, 32, 32), CPU).groups
    assert tuple(group[0].out_channels for group in groups) == widths


def test_whitening_makes_patches_white() -> None:
    smooth = nn.functional.avg_pool2d(5 * torch.randn(60, 3, 20, 20, generator=torch.Generator().manual_seed(0)), 5, 1)
    net = NarrowNet(10, 3)
    net.init_from(smooth)
    out = net.whiten(smooth).detach()[:, :12].transpose(0, 1).flatten(1)
    second = out @ out.T / out.shape[1]
    assert torch.allclose(second, torch.diag(second.diag()), atol=1e-3)
    assert second.diag().min() > 0.9
    assert torch.equal(net.whiten.weight[12:], -net.whiten.weight[:12])


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(SpecError, match=r"there is no model 'narownet' \(did you mean 'narrownet'\?\)"):
        require_known("narownet")
    with pytest.raises(SpecError, match=r"there is no model 'narownet'"):
        create("narownet", 10, (3, 32, 32), CPU)


def test_an_image_size_the_model_cannot_take_is_one_sentence() -> None:
    with pytest.raises(SpecError, match="model inception_v3 cannot take 3x16x16 images") as caught:
        create("inception_v3", 10, (3, 16, 16), CPU)
    assert "\n" not in str(caught.value)


def test_transformers_are_built_for_the_image_size() -> None:
    net = create("vit_tiny_patch16_224", 10, (3, 32, 32), CPU)
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_the_hook_is_asked_first_and_may_pass() -> None:
    asked: list[dict[str, object]] = []

    def hook(**question: object) -> nn.Module | None:
        asked.append(question)
        return Mean() if question["name"] == "mean" else None

    assert isinstance(create("mean", 3, (3, 16, 16), CPU, hook), Mean)
    assert isinstance(create("narrownet", 3, (3, 16, 24), CPU, hook), NarrowNet)
    assert asked[1] == {"name": "narrownet", "classes": 3, "channels": 3, "height": 16, "width": 24}


def test_a_hook_network_with_the_wrong_number_of_logits_is_refused() -> None:
    with pytest.raises(SpecError, match=r"returns \(1, 3\) for one image, not \(1, 10\)"):
        create("mean", 10, (3, 16, 16), CPU, lambda **_: Mean())
