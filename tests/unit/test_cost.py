"""What a step costs, and what several cost together; the GPU is one that the tests pretend to have."""

from __future__ import annotations

import pytest
import torch

from benchkit.stages.cost import Meter, added


class Gpu:
    """A GPU that counts how often it was waited for, and fails from one of those times on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waited, self.fails_at = 0, 99
        monkeypatch.setattr("torch.cuda.synchronize", self.synchronize)
        monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda device: None)
        monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda device: 3 * 2**20)

    def synchronize(self, device: torch.device) -> None:
        self.waited += 1
        if self.waited >= self.fails_at:
            raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


def test_seconds_add_up_and_peaks_are_the_worst_also_where_only_some_steps_ran_on_a_gpu() -> None:
    on_cpu, on_gpu = {"seconds": 1.5, "peak_mb": 300.0}, {"seconds": 0.25, "peak_mb": 200.0, "peak_device_mb": 50.0}
    expected = {"seconds": 1.75, "peak_mb": 300.0, "peak_device_mb": 50.0}
    assert added([on_cpu, on_gpu]) == added([on_gpu, on_cpu]) == expected
    assert added([on_cpu]) == on_cpu


def test_a_cpu_has_no_device_memory() -> None:
    with Meter(torch.device("cpu")) as meter:
        pass
    assert meter.cost.keys() == {"seconds", "peak_mb"}
    assert meter.cost["peak_mb"] > 10


def test_a_gpu_is_waited_for_before_and_after(gpu: Gpu) -> None:
    with Meter(torch.device("cuda")) as meter:
        assert gpu.waited == 1
    assert gpu.waited == 2
    assert meter.cost["peak_device_mb"] == 3.0


def test_a_gpu_that_failed_behind_the_back_of_a_step_fails_it(gpu: Gpu) -> None:
    gpu.fails_at = 2
    with pytest.raises(RuntimeError, match="device-side assert"), Meter(torch.device("cuda")):
        pass


def test_a_gpu_that_failed_hides_no_error_of_a_step(gpu: Gpu) -> None:
    gpu.fails_at = 2
    with pytest.raises(ValueError, match="mine"), Meter(torch.device("cuda")) as meter:
        raise ValueError("mine")
    assert meter.cost["peak_device_mb"] == 3.0
