"""Plans: what is shared, what is not, and what a change makes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from benchkit_plugins.attacks.badnets import BadNets
from benchkit_plugins.defenses.mna.mna import Mna

from benchkit.execute.progress.summary import summary
from benchkit.execute.resolve import CPU_DEFAULTS, DEFAULTS
from benchkit.plan import fingerprint, source
from benchkit.plan.job import CRAFT, DATA, POISON, SHADOWS, SURROGATE
from benchkit.plan.planner import plan
from benchkit.plan.steps import Plan
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import make
from benchkit.store.store import Store

OPTIONS: dict[str, str | bool] = {
    **DEFAULTS,
    **CPU_DEFAULTS,
    "attacks": "none,badnets,blend,troj-sq,wanet",
    "defenses": "freq-detector,strip,fine-tuning,spectral-signatures,neural-cleanse",
    "datasets": "scenes",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


@pytest.fixture
def planned(registry: Registry) -> Callable[..., Plan]:
    def make_plan(**changes: str | bool) -> Plan:
        spec = make({**OPTIONS, **changes}, registry)
        return plan(spec, dict.fromkeys(spec.datasets, ""))

    return make_plan


def keys(made: Plan, stage: str) -> set[str]:
    return {step.key for step in made.of(stage)}


def test_each_victim_is_trained_once_however_many_defenses(planned: Callable[..., Plan]) -> None:
    made = planned()
    stages = Counter(step.stage for step in made.steps.values())
    assert len(made.cells) == 5 * 6
    assert stages["train"] == 5 + 1  # the clean model that attackers craft on
    assert stages["prepare"] == 1
    assert stages["data"] == 1


def test_only_an_attack_that_needs_it_waits_for_the_clean_model(planned: Callable[..., Plan]) -> None:
    made = planned()
    crafts = {step.job.attack: set(step.parents) for step in made.of("craft")}
    assert crafts == {"troj-sq": {DATA, SURROGATE}, "wanet": {DATA}}


def test_no_trigger_is_judged_on_the_model_that_it_was_crafted_on(planned: Callable[..., Plan]) -> None:
    made = planned(attacks="none,troj-sq,smooth,l2-inv", defenses="", seeds="2")
    crafted_on = {step.parents[SURROGATE][1] for step in made.of("craft")}
    assert len(crafted_on) == 2  # one for each seed, whatever the attacks
    for step in made.of("judge"):
        assert not crafted_on & {key for _, key in step.parents.values()}
    for key in crafted_on:
        twin = next(
            step
            for step in made.of("train")
            if step.key not in crafted_on and step.parents[POISON] == made.steps[key].parents[POISON]
        )
        assert twin.parents == made.steps[key].parents  # the benign victim: trained on the same images


def test_without_an_attack_that_needs_it_there_is_no_other_clean_model(planned: Callable[..., Plan]) -> None:
    assert len(planned(attacks="none,badnets,wanet", defenses="").of("train")) == 3


def test_without_victims_only_the_attackers_clean_model_is_trained(planned: Callable[..., Plan]) -> None:
    made = planned(attacks="none,troj-sq", defenses="freq-detector", victims=False)
    assert [step.job.purpose for step in made.of("train")] == ["surrogate"]


def test_a_wrapper_shares_what_the_wrapped_attack_crafted(planned: Callable[..., Plan]) -> None:
    made = planned(attacks="troj-sq,invisible:base=troj-sq,physical:base=invisible,base.base=troj-sq,invisible")
    assert {step.job.attack for step in made.of("craft")} == {"troj-sq"}
    assert len(made.of("poison")) == 5  # with the benign one, which the clean model is trained on
    waiting = [step for step in made.of("poison") if CRAFT in step.parents]
    assert len(waiting) == 3


def test_no_victims_means_no_training_where_no_defense_needs_a_model(planned: Callable[..., Plan]) -> None:
    made = planned(attacks="none,badnets", defenses="freq-detector", victims=False)
    assert not made.of("train")
    assert len(made.cells) == 2


def test_the_benign_row_does_not_depend_on_the_poison_rate(planned: Callable[..., Plan]) -> None:
    made = planned(attacks="none,badnets", defenses="", poison_rate="0.1,0.05")
    assert len(made.of("train")) == 3
    assert len(made.cells) == 3


@pytest.mark.parametrize(
    ("change", "kept", "lost"),
    [
        ({"defenses": "freq-detector:threshold=fpr:0.01"}, {"prepare", "train", "poison"}, set()),
        ({"seeds": "1,"}, {"data"}, {"train", "prepare", "poison"}),
        ({"recipe": "fast:epochs=3"}, {"data", "poison", "prepare"}, {"train"}),
        ({"models": "preactresnet18"}, {"data", "poison", "prepare"}, {"train"}),
        ({"attacks": "badnets:size=5"}, {"data", "prepare"}, set()),
    ],
)
def test_a_change_makes_again_only_what_it_touches(
    planned: Callable[..., Plan], change: dict[str, str], kept: set[str], lost: set[str]
) -> None:
    base = {"attacks": "badnets", "defenses": "freq-detector"}
    before, after = planned(**base), planned(**(base | change))
    assert all(keys(before, stage) == keys(after, stage) for stage in kept)
    assert all(not keys(before, stage) & keys(after, stage) for stage in lost)
    assert set(before.cells) != set(after.cells)


def test_a_dataset_whose_files_changed_shares_nothing(registry: Registry) -> None:
    spec = make(OPTIONS, registry)
    first, second = (plan(spec, dict.fromkeys(spec.datasets, text)) for text in ("a", "b"))
    assert not set(first.steps) & set(second.steps)


def test_steps_come_after_their_parents(planned: Callable[..., Plan]) -> None:
    seen: set[str] = set()
    for key, step in planned().steps.items():
        assert {parent for _, parent in step.parents.values()} <= seen
        seen.add(key)


def test_the_summary_counts(planned: Callable[..., Plan], registry: Registry, tmp_path: Path) -> None:
    text = summary(planned(), Store(tmp_path), make(OPTIONS, registry))
    assert "5 attacks x 6 defenses x 1 dataset x 1 model x 1 seed = 30 cells, 0 done" in text
    assert "5 victims: 0 cached, 5 to train; 1 model for attackers to craft troj-sq, 1 to train; " in text


def forget() -> None:
    """Let fingerprints read their files again."""
    for known in (source._read, source._installed, fingerprint._code_of):
        known.cache_clear()


def _module(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_code_fingerprints_ignore_comments_and_docstrings_and_follow_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "fpkg"
    package.mkdir()
    (package / "__init__.py").touch()
    found = []
    for body, helper in (
        ("def f():\n    return 1\n", "x = 1\n"),
        ('# why\ndef f():\n    """Doc."""\n    return 1\n', '"""Doc."""\n\nx = 1  # c\n'),
        ("def f():\n    return 2\n", "x = 1\n"),
        ("def f():\n    return 1\n", "x = 2\n"),
    ):
        _module(package, "plug", "from ._help import x\n" + body)
        _module(package, "_help", helper)
        forget()
        found.append(fingerprint.code_of("fpkg.plug"))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_all_leaves_wrappers_to_be_named(registry: Registry) -> None:
    everything = make({**OPTIONS, "attacks": "all"}, registry).attacks
    assert {"badnets", "smooth", "none"} <= {one.name for one in everything}
    assert not {"invisible", "physical"} & {one.name for one in everything}
    assert "invisible" in {one.name for one in make({**OPTIONS, "attacks": "all,invisible"}, registry).attacks}


def edited(module: str, file: Path, sources: list[str]) -> set[str]:
    """Return a module's fingerprints while a file holds each of these sources in turn."""
    found = set()
    for text in sources:
        file.write_text(text)
        forget()
        found.add(fingerprint.code_of(module))
    return found


def test_code_covers_all_modules_of_a_foreign_plugins_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "foreign"
    package.mkdir()
    (package / "__init__.py").write_text("from ._paint import paint\nfrom .more import shade\n")
    (package / "_paint.py").write_text("paint = 1\n")
    (package / "plug.py").write_text("from .more import shade\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(edited("foreign", package / "more.py", ["shade = 1\n", "shade = 2\n"])) == 2
    assert len(edited("foreign.plug", package / "more.py", ["shade = 1\n", "shade = 2\n"])) == 2
    assert len(edited("foreign", package / "_paint.py", ["paint = 1\n", "paint = 2\n"])) == 2


def test_a_pinned_version_is_not_that_of_a_class_made_from_it() -> None:
    @dataclass(frozen=True)
    class Pinned(BadNets):
        name = "pinned"
        version = "1"

    @dataclass(frozen=True)
    class Child(Pinned):
        name = "child"

    assert fingerprint.component_id(Pinned())["code"] == "1"
    assert len(fingerprint.component_id(Child())["code"]) == 16


def test_shadow_models_are_apart_where_defenders_hold_other_images(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Mna.shadows  # a defense need not tell its shadow models how much it holds
    monkeypatch.setattr(Mna, "shadows", lambda self: told(replace(self, clean=0.05)))
    made = planned(attacks="badnets", defenses="mna:clean=0.05,mna:clean=0.5")
    first, second = ({key for _, (_, key) in step.job.of(SHADOWS)} for step in made.of("prepare"))
    assert first
    assert not first & second


def test_the_summary_names_what_is_crafted_on_models_of_the_attackers(
    planned: Callable[..., Plan], registry: Registry, tmp_path: Path
) -> None:
    asked = {**OPTIONS, "defenses": "freq-detector", "seeds": "2", "victims": False}
    asked["attacks"] = "none,badnets,troj-sq,troj-wm"
    told = summary(planned(**asked), Store(tmp_path), make(asked, registry))
    assert "2 models for attackers to craft troj-sq, troj-wm, 2 to train; " in told
    asked["attacks"] = "none,badnets"
    assert "attackers" not in summary(planned(**asked), Store(tmp_path), make(asked, registry))
