"""Replay keeps to the contract of attacks, and does with a training set what its folder says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchkit_plugins.attacks.replay.replay import Replay
from torch import Tensor

import benchkit
from benchkit import testing
from benchkit.errors import DataError
from benchkit.export.attack_folder import Part, write
from benchkit.ops.attackfiles import CONTROL, COVER, POISON, STAMPED, About
from benchkit.protocol import share_of
from benchkit.testing.world import RATE, World, world

TARGET = 1
ABOUT = About("dark", "toy", "tiny", tuple("abcd"), (3, 16, 16), 256, 80, TARGET, "all-to-one", (), "dirty", "")


def darkened(images: Tensor) -> Tensor:
    stamped = images.clone()
    stamped[..., :4, :4] = 0
    return stamped


def part(role: str, folder: str, clean: benchkit.Split, labels: Tensor, images: Tensor, rows: Tensor) -> Part:
    return Part(role, folder, rows, clean.labels, labels, clean.images, images)


def parts_of(where: World, *, controls: bool) -> list[Part]:
    """Return poisons, covers and stamped images of a toy world: a dark corner, a dark column, a dark corner again."""
    train, test = where.data.train, where.data.test
    inputs = benchkit.Split(torch.cat([test.images, where.inputs[16:]]), torch.cat([test.labels, test.labels[:16]]))
    order = (train.labels != TARGET).nonzero().squeeze(1)
    count = share_of(RATE, len(train))
    poisons, covers = order[:count], order[count : count + 10]
    column = train.images[covers].clone()
    column[..., 3] = 0
    target = torch.full((len(inputs),), TARGET)
    every = torch.arange(len(inputs))
    found = [
        part(POISON, "train", train[poisons], target[:count], darkened(train.images[poisons]), poisons),
        part(COVER, "train", train[covers], train.labels[covers], column, covers),
        part(STAMPED, "stamped", inputs, target, darkened(inputs.images), every),
    ]
    return [*found, part(CONTROL, "control", inputs, inputs.labels, 255 - inputs.images, every)] if controls else found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Replay]:
    """An attack that trains its victim, and one that brings victim and controls."""
    where, homes = world(3, 16), [tmp_path_factory.mktemp(name) for name in ("bare", "full")]
    write(homes[0], ABOUT, parts_of(where, controls=False), None)
    write(homes[1], ABOUT, parts_of(where, controls=True), where.victim.state())
    return {"bare": Replay(root=str(homes[0])), "full": Replay(root=str(homes[1]), trained=True)}


@pytest.mark.parametrize("name", [check.name for check in testing.checks(Replay)])
@pytest.mark.parametrize("which", ["bare", "full"])
def test_conforms(folders: dict[str, Replay], which: str, name: str) -> None:
    (check,) = [one for one in testing.checks(folders[which]) if one.name == name]
    check()


def test_what_the_folder_says_is_what_it_does(folders: dict[str, Replay]) -> None:
    where, attack = world(3, 16), folders["bare"]
    poisons, covers, stamped = parts_of(where, controls=False)
    made = attack.poison(where.data.train, where.poisoning(attack))
    for one, mask in ((poisons, made.mask), (covers, made.cover)):
        assert mask.nonzero().squeeze(1).tolist() == one.rows.tolist()
        assert made.data.images[mask].equal(one.images)
        assert made.data.labels[mask].equal(one.labels)
    untouched = ~made.changed
    assert made.data.images[untouched].equal(where.data.train.images[untouched])
    images, scene = where.data.test.images, where.attacking(attack)
    assert attack.stamp(images, scene).equal(stamped.images[:64])
    assert attack.control(images, scene).equal(images)
    assert folders["full"].control(images, where.attacking(folders["full"])).equal(255 - images)


def test_images_are_found_in_any_order_and_any_part_of_a_set(folders: dict[str, Replay]) -> None:
    where, attack = world(3, 16), folders["bare"]
    train, scene = where.data.train, where.poisoning(attack)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(3))
    straight, mixed = attack.poison(train, scene), attack.poison(train[order], scene)
    assert mixed.mask.equal(straight.mask[order])
    assert mixed.data.images.equal(straight.data.images[order])
    images, test = where.data.test.images, where.attacking(attack)
    some = torch.tensor([40, 2, 2, 63])
    assert attack.stamp(images[some], test).equal(attack.stamp(images, test)[some])


def test_of_equal_images_as_many_are_poisoned_as_the_folder_has(folders: dict[str, Replay]) -> None:
    where, attack = world(3, 16), folders["bare"]
    train = where.data.train
    twice = benchkit.Split(torch.cat([train.images] * 2), torch.cat([train.labels] * 2))
    made = attack.poison(twice, replace(where.poisoning(attack), rate=RATE / 2))
    assert int(made.mask.sum()) == share_of(RATE / 2, len(twice))


def test_a_lower_rate_takes_some_of_the_poisons_and_a_higher_one_is_refused(folders: dict[str, Replay]) -> None:
    where, attack = world(3, 16), folders["bare"]
    scene = where.poisoning(attack)
    every = attack.poison(where.data.train, scene).mask
    some = attack.poison(where.data.train, replace(where.poisoning(attack), rate=RATE / 3)).mask
    assert int(some.sum()) == share_of(RATE / 3, 256)
    assert not (some & ~every).any()
    with pytest.raises(DataError, match=r"run with --poison-rate 0\.148"):
        attack.poison(where.data.train, replace(scene, rate=0.5))


def test_the_brought_victim_is_that_of_the_folder(folders: dict[str, Replay]) -> None:
    where, attack = world(3, 16), folders["full"]
    made = attack.train(where.poisoned, where.training(attack))
    assert isinstance(made, benchkit.Classifier)
    ours, theirs = made.state(), where.victim.state()
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert (attack.access, folders["bare"].access) == ("training", "data")


def test_an_image_of_another_set_is_refused(folders: dict[str, Replay]) -> None:
    where, attack = world(3, 16), folders["bare"]
    images, scene = where.data.test.images.clone(), where.attacking(attack)
    images[5] ^= 1
    with pytest.raises(DataError, match="1 of 64 images"):
        attack.stamp(images, scene)


def test_targets_and_sources_are_those_of_the_folder(tmp_path: Path) -> None:
    where = world(3, 16)
    stamped = parts_of(where, controls=False)[2]
    write(tmp_path, replace(ABOUT, mapping="all-to-all", target=0), [stamped], None)
    attack, labels = Replay(root=str(tmp_path)), torch.arange(4)
    scene = where.attacking(attack)
    assert attack.target_labels(labels, scene).tolist() == [1, 2, 3, 0]
    assert attack.check((3, 16, 16), 4) is None
    other = tmp_path / "sources"
    other.mkdir()
    write(other, replace(ABOUT, sources=(2, 3)), parts_of(where, controls=False), None)
    assert Replay(root=str(other)).source_classes() == (2, 3)


def test_changed_files_are_another_attack(folders: dict[str, Replay], tmp_path: Path) -> None:
    write(tmp_path, replace(ABOUT, attack="other"), parts_of(world(3, 16), controls=False), None)
    before, after = folders["bare"], Replay(root=str(tmp_path))
    assert before.files != after.files
    assert before.prepare_params() != after.prepare_params()
    assert f"files={after.files}" in str(after)
    assert after.target == TARGET
