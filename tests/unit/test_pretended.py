"""The pretended GPU: it refuses what CUDA refuses, lets through what CUDA takes, and changes no number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from benchkit.testing.pretended import GPU, THERE, gpu

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real GPU")


@pytest.fixture
def there() -> Iterator[Tensor]:
    """Return a tensor on the pretended GPU, 3 x 4, of which the first number is 0."""
    with gpu():
        yield torch.arange(12.0).view(3, 4).to(GPU)


REFUSED: list[Callable[[Tensor], object]] = [
    lambda x: x + torch.ones(3, 4),
    lambda x: torch.ones(4) * x[0, 0],
    lambda x: torch.ones(3, 4)[x[0].long()[:1]],
    lambda x: torch.cat([x, torch.ones(1, 4)]),
    lambda x: torch.stack([x[0, 0], torch.tensor(1.0)]),
    lambda x: x.__setitem__(torch.tensor([0]), torch.ones(1, 4)),
    nn.Linear(4, 2),
    lambda x: nn.Linear(4, 2).to(x.device)(x.cpu()),
    lambda x: nn.functional.cross_entropy(x, torch.tensor([0, 1, 2])),
    lambda x: torch.linalg.solve(torch.eye(3), x),
    lambda x: torch.func.vmap(torch.add)(x, torch.ones(3, 4)),
    lambda x: x.detach() + torch.ones_like(x.cpu()),
    lambda x: x.new_zeros(4) + torch.ones(4),
    lambda x: torch.zeros(4, device="cuda") + torch.ones(4),
    lambda x: torch.randn(2, generator=torch.Generator(), device=x.device),
    lambda x: x.normal_(generator=torch.Generator()),
    lambda x: torch.rand(2, generator=torch.Generator(x.device)),
]
TAKEN: list[Callable[[Tensor], Tensor]] = [
    lambda x: x + torch.tensor(1.0),
    lambda x: x + 1,
    lambda x: x[torch.tensor([0, 2])],
    lambda x: x[torch.ones(3, dtype=torch.bool)],
    lambda x: x.clone().copy_(torch.ones(3, 4)),
    lambda x: x + torch.ones(3, 4).to(x),
    lambda x: x + torch.ones(3, 4, device=x.device),
    lambda x: torch.ones(3, 4).cuda() + x,
    lambda x: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).to(x.device)(x),
    lambda x: torch.func.vmap(torch.add)(x, x),
    lambda x: x.to(torch.float64),
    lambda x: torch.zeros_like(x) + x,
    lambda x: torch.randn(2, generator=torch.Generator()).to(x.device) + x[0, :2],
    lambda x: torch.randn(2, generator=torch.Generator(x.device), device=x.device) + x[0, :2],
]


@pytest.mark.parametrize("call", REFUSED)
def test_what_cuda_refuses_is_refused(there: Tensor, call: Callable[[Tensor], object]) -> None:
    with pytest.raises(RuntimeError, match=r"two devices|generator of"):
        call(there)


@pytest.mark.parametrize("call", TAKEN)
def test_what_cuda_takes_is_done_there(there: Tensor, call: Callable[[Tensor], Tensor]) -> None:
    made = call(there)
    assert (made.device, made.is_cuda) == (GPU, True)
    assert made.detach().cpu().numpy() is not None


def test_numbers_are_read_and_slices_written_from_either_side(there: Tensor) -> None:
    there[1] = torch.zeros(4)
    assert there.sum().item() == 44
    assert there.tolist()[1] == [0, 0, 0, 0]
    assert torch.ones(3, 4).copy_(there).device.type == "cpu", "what is written to stays where it is"
    with pytest.raises(TypeError, match=r"numpy needs .cpu\(\) first"):
        there.numpy()


def test_it_trains_as_the_cpu_does_and_gradients_are_there() -> None:
    def trained(device: str) -> tuple[list[Tensor], torch.device]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).to(device)
        images, labels = torch.rand(6, 1, 4, 4).to(device), (torch.arange(6) % 2).to(device)
        adam = torch.optim.Adam(net.parameters(), 0.1)
        for _ in range(3):
            adam.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            adam.step()
        (found,) = {one.grad.device for one in net.parameters() if one.grad is not None}
        return [one.detach().cpu() for one in net.state_dict().values()], found

    here, at_home = trained("cpu")
    with gpu():
        there, on_it = trained("cuda")
    assert (at_home, on_it) == (torch.device("cpu"), GPU)
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))


def test_outside_of_it_there_is_no_gpu_and_what_is_gone_is_forgotten() -> None:
    with gpu():
        assert torch.cuda.is_available()
        for _ in range(20_000):
            torch.zeros(1, device="cuda")
    assert not torch.cuda.is_available()
    assert len(THERE) < 11_000
    assert torch.ones(2).device.type == "cpu"
