"""MNTD as an attack: what is drawn for each model, how it is put in, and how much is poisoned."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from attack_scenes import RGB, flat, scene, split
from benchkit_plugins.attacks.mntd import Mntd
from torch import Tensor

import benchkit
from benchkit.spec.registry import load
from benchkit.spec.spec import component, components


def drawn(attack: benchkit.Attack, count: int = 600, shape: tuple[int, int, int] = RGB) -> list[dict[str, Tensor]]:
    return [dict(attack.draw(scene(shape, classes=10, seed=seed))) for seed in range(count)]


def prepared(**changes: Any) -> dict[str, Tensor]:
    values = {"pattern": torch.ones(3, 2, 3), "place": [1, 2], "alpha": 1.0, "share": 0.3, "target": 2}
    return {name: torch.as_tensor(value) for name, value in {**values, **changes}.items()}


def where(found: dict[str, Tensor], rate: float = 0.5) -> benchkit.Scene:
    return scene((3, 8, 8), prepared=found, rate=rate)


def test_modifications_are_small_squares_that_replace_pixels() -> None:
    found = drawn(Mntd())
    sizes = Counter(tuple(one["pattern"].shape) for one in found)
    assert set(sizes) == {(3, side, side) for side in (2, 3, 4, 5)}
    assert min(sizes.values()) > 110
    assert {float(one["alpha"]) for one in found} == {1.0}
    assert all(int(one["place"].max()) < 32 - one["pattern"].shape[1] for one in found)
    assert len({tuple(one["place"].tolist()) for one in found}) > 250


def test_blends_are_whole_and_faint() -> None:
    found = drawn(Mntd(kind="B"))
    assert {tuple(one["pattern"].shape) for one in found} == {RGB}
    assert all(one["place"].tolist() == [0, 0] for one in found)
    alphas = torch.stack([one["alpha"] for one in found])
    assert 0.05 <= alphas.min() < 0.052
    assert 0.198 < alphas.max() <= 0.2


@pytest.mark.parametrize("kind", ["M", "B"])
def test_targets_and_shares_are_uniform(kind: str) -> None:
    found = drawn(Mntd(kind=kind))
    targets = Counter(int(one["target"]) for one in found)
    assert set(targets) == set(range(10))
    assert min(targets.values()) > 35
    shares = torch.stack([one["share"] for one in found])
    assert 0.05 <= shares.min() < 0.055
    assert 0.49 < shares.max() <= 0.5
    assert float(shares.mean()) == pytest.approx(0.275, abs=0.02)


def test_a_given_target_is_not_drawn_and_the_rest_still_is() -> None:
    found = drawn(Mntd(target=3), 2)
    assert "target" not in found[0]
    assert not torch.equal(found[0]["share"], found[1]["share"])
    assert Mntd(target=3).target_labels(torch.arange(4), where(found[0])).tolist() == [3] * 4


def test_grey_images_have_patterns_of_black_and_white() -> None:
    assert set(drawn(Mntd(), 1, (1, 28, 28))[0]["pattern"].unique().tolist()) == {0.0, 1.0}


def test_the_stamp_is_what_was_drawn() -> None:
    pattern = torch.linspace(0, 1, 18).view(3, 2, 3)
    made = Mntd().stamp(flat(100, (3, 8, 8), 2), where(prepared(pattern=pattern)))
    assert torch.equal(made[..., 1:3, 2:5], (255 * pattern).round().byte().expand(2, 3, 2, 3))
    made[..., 1:3, 2:5] = 100
    assert (made == 100).all()


def test_a_blend_is_mixed_in_by_its_weight_and_its_control_is_its_mean() -> None:
    checks = (torch.arange(64).view(8, 8) % 2).float().expand(3, 8, 8)
    found = prepared(pattern=checks, place=[0, 0], alpha=0.2)
    images, attack = flat(100, (3, 8, 8)), Mntd(kind="B")
    assert attack.stamp(images, where(found))[0, 0, 0, :4].tolist() == [80, 131, 80, 131]
    assert set(attack.control(images, where(found)).unique().tolist()) == {106}  # 80 + 25.5, to the even one
    assert torch.equal(Mntd().control(images, where(prepared())), images)


@pytest.mark.parametrize(("rate", "share", "poisoned"), [(0.5, 0.3, 60), (0.1, 0.3, 20), (0.5, 0.05, 10)])
def test_the_share_is_the_models_own_up_to_the_poison_rate(rate: float, share: float, poisoned: int) -> None:
    train = split(200, (3, 8, 8))
    made = Mntd().poison(train, where(prepared(share=share), rate))
    assert int(made.mask.sum()) == poisoned
    assert set(made.data.labels[made.mask].tolist()) == {2}
    assert (train.labels[made.mask] != 2).all()


def test_images_without_room_are_refused() -> None:
    assert "8 pixels" in str(Mntd().check((3, 7, 32), 10))
    assert "not a class" in str(Mntd(target=10).check(RGB, 10))
    assert Mntd().check(RGB, 10) is None


def test_all_leaves_it_out() -> None:
    names = {one.name for one in components("all", "attacks", load())}
    assert "badnets" in names
    assert "mntd" not in names


@pytest.mark.parametrize("text", ["low-freq:target=-1", "smooth:aim=target,target=-1"])
def test_a_trigger_that_is_crafted_for_its_target_needs_one(text: str) -> None:
    assert "not -1" in str(component(text, "attacks", load()).check(RGB, 10))
    assert component(text.replace("-1", "1"), "attacks", load()).check(RGB, 10) is None


def test_a_drawn_target_is_that_of_poison_labels_and_wrappers() -> None:
    found = {"target": torch.tensor(2)}
    train = split(200)
    for text in ("badnets:target=-1", "sig:target=-1", "invisible:base=badnets,base.target=-1,k=16"):
        attack, here = component(text, "attacks", load()), scene((1, 16, 16), prepared=found, rate=0.1)
        made = attack.poison(train, here)
        assert made.mask.any()
        assert set(made.data.labels[made.mask].tolist()) == {2}
        assert attack.target_class(here) == 2
