"""The checks of attacks: the contracts of ``prepare``, ``stamp``, ``poison`` and ``train``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from benchkit.contracts import checks
from benchkit.contracts.trained import require_network
from benchkit.testing.check import Check, Subject, require
from benchkit.testing.common import (
    alike,
    check_refusal,
    contract_checks,
    far,
    home,
    require_stored,
    unchanged,
)
from benchkit.testing.controls import any_count, check_control, check_control_any_count, check_control_of_most_pixels
from benchkit.testing.learning import check_prepare, check_prepare_repeats
from benchkit.testing.metrics import check_metrics
from benchkit.testing.natural import check_natural
from benchkit.testing.poisoning import (
    check_cover_count,
    check_poison_count,
    check_poison_labels,
    check_poison_mask,
    check_poison_repeats,
    check_test_strength,
    poisoned_by,
)
from benchkit.testing.pretended import gpu
from benchkit.testing.repeated import repeats
from benchkit.testing.world import CLASSES, copied, equipped, prepared, worlds_for

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack


def check_threat_model(attack: Attack) -> None:
    """``access``, ``label_policy`` and ``needs`` have known values that match the overridden methods."""
    name, replaces = attack.name, attack.controls_training()
    require(
        attack.access in ("data", "training", "none"),
        f"{name}.access is {attack.access!r}: use data or training",
    )
    known = attack.label_policy in ("dirty", "clean", "none")
    require(known, f"{name}.label_policy is {attack.label_policy!r}: use dirty or clean")
    fine = isinstance(attack.needs, frozenset) and attack.needs <= {"model"}
    require(fine, f"{name}.needs is {attack.needs!r}: use frozenset() or frozenset({{'model'}})")
    require(
        replaces == (attack.access == "training"),
        f"{name} says access = '{attack.access}' but {'replaces' if replaces else 'keeps'} train(): "
        "access is 'training' exactly when train() is replaced",
    )
    learner = isinstance(attack.learns, bool) and (replaces or not attack.learns)
    require(learner, f"{name}.learns is {attack.learns!r}: use True where train() returns benchkit.Trained, else False")


def check_refuses_a_missing_class(attack: Attack) -> None:
    """``check`` refuses a target that is not a class: an overriding ``check`` must end with ``super().check``."""
    shape = home(attack).shape
    beyond = dataclasses.replace(attack, target=CLASSES)
    refused = beyond.check(shape, CLASSES) is not None
    require(refused, f"{attack.name}.check accepts a target that is no class: return super().check(shape, classes)")


def check_source_classes(attack: Attack) -> None:
    """Source classes are a tuple of whole numbers; ``check`` refuses one that is no class, or is the target."""
    sources = attack.source_classes()
    numbers = isinstance(sources, tuple) and all(type(label) is int for label in sources)
    require(numbers, f"{attack.name}.source_classes returns {sources!r}: return a tuple of classes, such as (1, 5)")
    if not sources:
        return
    shape, todo = home(attack).shape, "return super().check(shape, classes)"
    few = attack.check(shape, max(sources)) is not None
    require(few, f"{attack.name}.check accepts a source class that is no class: {todo}")
    both = dataclasses.replace(attack, target=sources[0], mapping="all-to-one").check(shape, CLASSES) is not None
    require(both, f"{attack.name}.check accepts a target that is a source class: {todo}")


def check_reports(attack: Attack) -> None:
    """The results of ``prepare`` that ``metrics`` declares are single numbers that ``shortfall`` accepts."""
    crafter = attack.crafter()
    made = prepared(crafter, home(crafter))
    said = crafter.shortfall(checks.reported(crafter, made))
    require(said is None or isinstance(said, str), f"{crafter.name}.shortfall must return a sentence or None")


def check_stamp(attack: Attack) -> None:
    """``stamp`` returns uint8 images of the same shape, on the same device."""
    where = home(attack)
    stamped = attack.stamp(where.inputs, where.attacking(attack))
    checks.images(attack.name, "stamp", where.inputs, stamped)
    require(stamped.device == where.inputs.device, f"{attack.name}.stamp moved the images to {stamped.device}")


def check_stamp_leaves_its_input(attack: Attack) -> None:
    """``stamp`` returns a new tensor and does not change its input."""
    where = home(attack)
    given = where.inputs
    stamped = attack.stamp(given, where.attacking(attack))
    require(alike(given, where.inputs), f"{attack.name}.stamp writes into its input: start with images.clone()")
    shared = stamped.untyped_storage().data_ptr() == given.untyped_storage().data_ptr()
    require(not shared, f"{attack.name}.stamp returns its input's memory: return images.clone()")


def check_stamp_repeats(attack: Attack) -> None:
    """``stamp`` gives the same result for the same seed."""
    where = home(attack)
    require(
        repeats(lambda: attack.stamp(where.inputs, where.attacking(attack)), alike),
        f"{attack.name}.stamp differs between two runs with one seed: draw only from scene.rng",
    )


def check_stamp_changes_pixels(attack: Attack) -> None:
    """A trigger changes pixels, but for a natural one; a benign attack may leave them unchanged."""
    where = home(attack)
    images = where.data.test.images
    if not attack.benign:
        checks.changes_pixels(attack, images, attack.stamp(images, where.attacking(attack)))


def check_stamp_any_count(attack: Attack) -> None:
    """``stamp`` accepts no image (a poison rate may round down to 0), one, an odd number and many."""
    any_count(attack, "stamp", attack.stamp)


def check_stamp_every_shape(attack: Attack) -> None:
    """``prepare`` and ``stamp`` work for grey and colour images of three sizes."""
    for where in worlds_for(attack)[:3]:
        stamped = attack.stamp(where.inputs, where.attacking(attack))
        checks.images(attack.name, f"stamp ({'x'.join(map(str, where.shape))})", where.inputs, stamped)


def check_target_labels(attack: Attack) -> None:
    """``target_labels`` returns one class per label, int64."""
    where = home(attack)
    labels = where.data.test.labels
    wanted = attack.target_labels(labels.clone(), where.attacking(attack))
    right = wanted.dtype == torch.int64 and wanted.shape == labels.shape
    require(right, f"{attack.name}.target_labels must return int64 ({len(labels)},), one label per image")
    inside = bool(((wanted >= 0) & (wanted < CLASSES)).all())
    require(inside, f"{attack.name}.target_labels returns labels that are no class")


def check_train(attack: Attack) -> None:
    """An attack that controls the training returns a working model and does not change the data."""
    if attack.access != "training":
        return
    where = home(attack)
    poisoned = poisoned_by(attack, where)
    before = copied(poisoned.data)
    trained = checks.trained(attack, attack.train(poisoned, where.training(attack)), prepared(attack.crafter(), where))
    require_network(attack.name, trained.model, where.trainer.build().state_dict(), "network of this scene")
    logits = trained.model.logits(where.inputs)
    works = logits.shape == (len(where.inputs), CLASSES) and bool(logits.isfinite().all())
    require(works, f"{attack.name}.train returned a model whose logits are not finite (N, {CLASSES})")
    require(unchanged(poisoned.data, before), f"{attack.name}.train writes into the training set")
    require_stored(attack.name, "train", trained.learned)


def check_other_device(attack: Attack) -> None:
    """Every method works where the images are on a GPU; without one, on one that is pretended."""
    with gpu():
        where = far(attack)
        train, images, labels = equipped(where.data.train, attack), where.inputs, where.data.test.labels
        for name in ("stamp", "control"):
            checks.images(attack.name, name, images, getattr(attack, name)(images.clone(), where.attacking(attack)))
        attack.target_labels(labels, where.attacking(attack))
        poisoned = attack.poison(train, where.poisoning(attack))
        if attack.access == "training":
            attack.train(poisoned, where.training(attack))


CHECKS = (
    check_refusal,
    check_metrics,
    check_threat_model,
    check_refuses_a_missing_class,
    check_source_classes,
    check_reports,
    check_prepare,
    check_prepare_repeats,
    check_stamp,
    check_stamp_leaves_its_input,
    check_stamp_repeats,
    check_stamp_changes_pixels,
    check_natural,
    check_control,
    check_control_of_most_pixels,
    check_control_any_count,
    check_stamp_any_count,
    check_stamp_every_shape,
    check_target_labels,
    check_poison_mask,
    check_poison_count,
    check_cover_count,
    check_poison_labels,
    check_poison_repeats,
    check_test_strength,
    check_train,
    check_other_device,
)


def attack_checks(subject: Subject) -> list[Check]:
    """Return the checks of an attack class (with default parameters) or of one component."""
    return contract_checks(subject, CHECKS)
