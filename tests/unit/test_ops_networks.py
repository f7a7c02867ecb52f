"""What looks into networks, or is one: Grad-CAM, batch-norm factors, the U-Net."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.ops.batchnorm import adversarial_factors, batch_norms, scaled
from benchkit.ops.gradcam import grad_cam
from benchkit.ops.unet import UNet

CPU = torch.device("cpu")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Pooled(nn.Module):
    """A convolution, global average pooling and a linear head: its class activation maps are known."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.ReLU(inplace=True))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.conv(x).mean((2, 3)))
        return out


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (300, 3, 16, 24), generator=seeded(1)).byte()


def test_grad_cam_of_a_linear_head_is_the_class_activation_map(images: Tensor) -> None:
    net, pixels, labels = Pooled().requires_grad_(requires_grad=False), images / 255, torch.arange(300) % 4
    found = grad_cam(net, pixels, labels, net.conv)
    with torch.no_grad():
        activity = net.conv(pixels)
        known = (net.head.weight[labels][:, :, None, None] * activity).sum(1, keepdim=True).relu() / (8 * 12)
    expected = F.interpolate(known, (16, 24), mode="bilinear", align_corners=False)[:, 0]
    assert found.shape == (300, 16, 24)
    assert torch.allclose(found, expected, atol=1e-7)
    assert expected.max() > 1e-3
    assert found.min() >= 0
    assert not net.conv._forward_hooks


def test_grad_cam_looks_where_the_evidence_is() -> None:
    """A head that sums the brightness of one convolution sees a white square, and not what lies around it."""
    net = Pooled()
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
        conv = net.conv[0]
        assert isinstance(conv, nn.Conv2d)
        conv.weight[0] = 1.0
        net.head.weight[2, 0] = 1.0
    images = torch.zeros(2, 3, 16, 16)
    images[0, :, :6, :6], images[1, :, 10:, 10:] = 1, 1
    maps = grad_cam(net, images, torch.tensor([2, 2]), net.conv)
    assert maps[0, :10, :10].sum() == maps[0].sum() > 0
    assert maps[1, 8:, 8:].sum() == maps[1].sum() > 0
    assert grad_cam(net, images, torch.tensor([1, 1]), net.conv).abs().max() == 0


def test_grad_cam_works_on_a_built_in_network_under_no_grad(images: Tensor) -> None:
    model = Classifier(create("narrownet", 5, (3, 16, 24), CPU), torch.zeros(3), torch.ones(3))
    with torch.no_grad():
        found = grad_cam(model, images[:3], torch.tensor([0, 1, 2]), model.last_conv)
    assert found.shape == (3, 16, 24)
    assert found.isfinite().all()
    with pytest.raises(ValueError, match="no gradient reaches the Linear"):
        grad_cam(model, images[:3], torch.tensor([0, 1, 2]), nn.Linear(1, 1))


def with_batch_norms() -> Classifier:
    torch.manual_seed(3)
    model = Classifier(create("narrownet", 4, (3, 16, 24), CPU), torch.full((3,), 0.5), torch.ones(3))
    with torch.no_grad():
        model.head.weight.normal_()
    return model


def test_factors_scale_batch_norms_and_leave_the_network_alone(images: Tensor) -> None:
    model, before = with_batch_norms(), with_batch_norms()
    names = list(batch_norms(model))
    layers = [name for name, one in model.named_modules() if isinstance(one, nn.BatchNorm2d)]
    assert names == [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    assert len(layers) == 6
    factors = {name: torch.rand(len(one), generator=seeded(2)) + 0.5 for name, one in batch_norms(model).items()}
    found = scaled(model, factors)(images[:8])
    assert all(one.equal(two) for one, two in zip(model.parameters(), before.parameters(), strict=True))
    with torch.no_grad():
        for name, one in batch_norms(before).items():
            one.mul_(factors[name])
    assert torch.allclose(found, before(images[:8]), atol=1e-5)
    assert scaled(model, {})(images[:8]).equal(model(images[:8]))


def test_adversarial_factors_raise_the_loss_by_signed_steps(images: Tensor) -> None:
    model, labels = with_batch_norms(), torch.arange(64) % 4

    def loss(net: object) -> Tensor:
        assert callable(net)
        return F.cross_entropy(net(images[:64]), labels)

    ones = {name: torch.ones_like(one) for name, one in batch_norms(model).items()}
    worst = adversarial_factors(model, loss, bound=0.2, steps=1)
    assert all(set((one - 1).abs().mul(1e6).round().unique().tolist()) <= {0.0, 2e5} for one in worst.values())
    at_random = {name: 1 + 0.2 * torch.randn(len(one), generator=seeded(4)).sign() for name, one in ones.items()}
    values = [float(loss(scaled(model, one)).detach()) for one in (ones, at_random, worst)]
    assert values[2] > max(values[:2]) + 0.05
    more = adversarial_factors(model, loss, bound=0.2, steps=5, rng=seeded(1))
    assert all((one - 1).abs().max() <= 0.4 + 1e-6 for one in more.values())
    again = adversarial_factors(model, loss, bound=0.2, steps=5, rng=seeded(1))
    assert all(one.equal(again[name]) for name, one in more.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_noise_is_added_to_masks(images: Tensor) -> None:
    model = with_batch_norms()
    masks = {name: torch.full_like(one, 0.3) for name, one in batch_norms(model).items() if name.endswith("weight")}
    found = adversarial_factors(model, lambda net: net(images[:4]).sum(), bound=0.0, masks=masks)
    assert all(one.unique().tolist() == [pytest.approx(0.3 if name in masks else 1)] for name, one in found.items())
    with pytest.raises(ValueError, match="no batch norm"):
        adversarial_factors(Pooled(), lambda net: net(images.float()).sum(), bound=0.1)


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (48, 64), (32, 19)])
def test_a_u_net_returns_maps_of_the_size_of_its_images(size: tuple[int, int]) -> None:
    net = UNet(3, 2, seeded(0), (4, 8, 16)).eval()
    assert net(torch.rand(2, 3, *size)).shape == (2, 2, *size)


def test_a_u_net_is_drawn_from_its_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = (UNet(1, 1, seeded(seed), (4, 8)) for seed in (0, 0, 1))
    assert torch.get_rng_state().equal(before)
    assert all(one.equal(two) for one, two in zip(first.parameters(), again.parameters(), strict=True))
    assert not other.last.weight.equal(first.last.weight)
    assert all(one.isfinite().all() for one in first.state_dict().values())
    with pytest.raises(ValueError, match="16 x 15 are too small"):
        first(torch.zeros(1, 1, 16, 15))


def test_a_u_net_learns_to_copy_and_its_state_comes_back() -> None:
    net, images = UNet(1, 1, seeded(0), (8, 16)), torch.rand(8, 1, 16, 20, generator=seeded(1))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(30):
        loss = F.mse_loss(net(images), images)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * float(images.var())  # noise: only what is skipped tells it
    net.eval()
    twin = UNet(1, 1, seeded(9), (8, 16)).eval()
    twin.load_state_dict(net.state_dict())
    assert twin(images).equal(net(images))
