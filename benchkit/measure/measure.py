"""The measurement of each kind of defense, by one protocol (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchkit.components.baseline import NoDefense
from benchkit.contracts import checks, kinds
from benchkit.contracts.verdict import Verdict
from benchkit.contracts.verdicts import verdict
from benchkit.errors import ContractError
from benchkit.measure.accuracy import baseline, defended, labelled_by
from benchkit.measure.evidence import Measurement, gallery, merged, strip
from benchkit.measure.input_detector import measure_input_detector
from benchkit.measure.population import separation
from benchkit.measure.rates import Metrics, filtering, mean
from benchkit.measure.retuning import Counter, fine_tuned, retuned
from benchkit.measure.told import certified, told
from benchkit.measure.truth import PROBE, GroundTruth, SceneFor
from benchkit.measure.visibility import visibility
from benchkit.measure.warned import warnings

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Poisoned
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.scene import Scene


PAIRS = 8
"""Number of images that a record shows before and after a purification."""


def measure(defense: Defense, scene_for: SceneFor, truth: GroundTruth) -> tuple[Measurement, list[str]]:
    """Return the metrics of one cell (fractions unless stated otherwise), and its warnings.

    Raises:
        ContractError: if the defense violates its contract.
    """
    for kind, how in MEASURES.items():
        if isinstance(defense, kind):
            found = how(defense, scene_for, truth)
            more = told(defense, found.verdicts, truth)
            shown = merged(found.exhibits, more.exhibits) | _tested(found.metrics, truth)
            found = replace(found, metrics=found.metrics | more.metrics, exhibits=shown)
            return found, warnings(found.metrics, truth)
    raise ContractError(f"{defense.name} derives from none of the defense kinds")


def measure_baseline(_defense: NoDefense, _scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Measure the attack on the undefended victim and on a clean model, and the visibility of its trigger."""
    metrics = baseline(truth)
    if truth.benign:
        return Measurement(metrics)
    clean = truth.test.images[truth.rows]
    metrics["asr_control"] = mean(truth.judged["control"] == truth.wanted)
    metrics["asr_clean_model"] = mean(truth.judged["benign_triggered"] == truth.wanted)
    shown = _example(clean)
    # Beside a natural trigger there is another image, not the same without it.
    seen = {} if truth.natural else visibility(clean, truth.triggered)
    return Measurement(metrics | seen, {"gallery": gallery(clean[shown], truth.triggered[shown])})


def _example(images: Tensor) -> int:
    """Return the index of an example image, neither dark nor bright, so that dark and bright triggers are visible."""
    middling = (images[:1000].flatten(1).float() - 100).square().mean(1).argsort()
    return int(middling[len(middling) // 4])


def measure_input_purifier(defense: kinds.InputPurifier, scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Classify purified images with the victim; show some of them."""
    probe = truth.test.images[:PROBE]
    once, again = (_purified(defense, probe, scene_for("probe")) for _ in range(2))
    checks.repeats(defense.name, "purify", once.score, again.score)
    victim, said, shown = labelled_by(scene_for("victim", grant=True).model), list[Verdict](), dict[str, str]()

    def predict(images: Tensor) -> Tensor:
        said.append(_purified(defense, images, scene_for("purify")))
        which = "triggered" if images is truth.triggered else "clean"
        some = truth.rows[:PAIRS] if which == "clean" and len(truth.rows) else slice(PAIRS)
        shown[f"{which} and purified"] = strip(images[some], said[-1].score[some])
        return victim(said[-1].score)

    # The triggered images come first; on a benign row, there are clean ones only.
    return Measurement(defended(predict, truth), {"gallery": shown}, said[:1])


def _purified(defense: kinds.InputPurifier, images: Tensor, scene: Scene) -> Verdict:
    said = verdict(defense, "purify", defense.purify(images.clone(), scene), scene)
    return replace(said, score=checks.images(defense.name, "purify", images, said.score))


def measure_training_filter(defense: kinds.TrainingFilter, scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Drop suspicious images, compare with the masks, retrain on the rest with the benchmark's recipe."""
    poisoned = _given(truth)
    scene = scene_for("suspicion")
    said = verdict(defense, "suspicion", defense.suspicion(poisoned.data, scene), scene)
    drop = checks.scores(defense.name, "suspicion", said.score, len(poisoned.data)) > 0
    metrics = filtering(drop, poisoned.mask.cpu(), poisoned.cover.cpu())
    keep = (~drop).nonzero().squeeze(1).to(poisoned.data.labels.device)
    if poisoned.data.labels[keep].bincount().count_nonzero() < 2:
        raise ContractError(f"{defense.name} dropped {mean(drop):.0%} of the training set: fewer than 2 classes remain")
    if truth.judged and truth.plain and not drop.any():
        # Retraining on the same images with the same recipe would give the victim again.
        return Measurement(metrics | _unchanged(truth), verdicts=[said])
    retrained = scene_for("retrain").fit(poisoned.data[keep])
    return Measurement(metrics | defended(labelled_by(retrained), truth), verdicts=[said])


def _unchanged(truth: GroundTruth) -> Metrics:
    """Return the metrics of a defense that did not change the victim."""
    return baseline(truth) | ({} if truth.benign else {"der": 0.5})


def measure_robust_training(defense: kinds.RobustTraining, scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Measure the model that the defense trains on the poisoned set."""
    scene = scene_for("train")
    said = verdict(defense, "train", defense.train(_given(truth).data, scene), scene)
    predict = labelled_by(checks.model(defense.name, "train", said.score))
    return Measurement(defended(predict, truth) | certified(defense, said, predict, truth), verdicts=[said])


def measure_model_repair(defense: kinds.ModelRepair, scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Measure the model that the defense repairs from its copy of the victim, and retune it where that is asked for."""
    counter = Counter()
    scene = counter.watching(scene_for("repair")) if truth.retuning else scene_for("repair")
    said = verdict(defense, "repair", defense.repair(scene), scene)
    repaired = checks.model(defense.name, "repair", said.score)
    metrics = defended(labelled_by(repaired), truth)
    if truth.retuning is None:
        return Measurement(metrics, verdicts=[said])
    begun = perf_counter()
    metrics |= retuned(repaired, truth.retuning, truth)
    metrics |= fine_tuned(counter.shown, defense.own_epochs(), scene_for("fine-tune", grant=True), truth)
    return Measurement(metrics, verdicts=[said], aside=perf_counter() - begun)


def fitted(defense: Defense, scene: Scene) -> dict[str, Tensor]:
    """Return what a defense learns from the victim in its scene, on the scene's device."""
    learned = checks.tensors(defense.name, defense.fit(scene), "fit")
    return {name: tensor.detach().to(scene.device) for name, tensor in learned.items()}


def audit(defense: kinds.ModelDetector, scene_for: SceneFor) -> tuple[Verdict, float]:
    """Return a model detector's verdict on the victim in its scene, from which it may learn first, and its threshold.

    The score of the verdict is a finite float.
    """
    learned = fitted(defense, scene_for("fit")) if defense.fits() else {}
    scored, cut = (replace(scene_for(purpose), fitted=learned) for purpose in ("score", "threshold"))
    said = verdict(defense, "score", defense.score(scored), scored)
    said = replace(said, score=checks.number(defense.name, "score", said.score))
    return said, checks.number(defense.name, "flags_above", defense.flags_above(cut))


def measure_model_detector(_defense: kinds.ModelDetector, _scene_for: SceneFor, truth: GroundTruth) -> Measurement:
    """Compare the scores of backdoored models with those of benign ones, for one pair or a population."""
    metrics = separation(truth.audited, None if truth.benign else truth.benign_audited)
    return Measurement(metrics, verdicts=truth.audited.said)


def _given(truth: GroundTruth) -> Poisoned:
    if truth.train is None:
        raise ContractError("this kind of defense is measured with the training set")
    return truth.train


MEASURES: dict[type[Defense], Callable[[Any, SceneFor, GroundTruth], Measurement]] = {
    NoDefense: measure_baseline,
    kinds.InputDetector: measure_input_detector,
    kinds.InputPurifier: measure_input_purifier,
    kinds.TrainingFilter: measure_training_filter,
    kinds.RobustTraining: measure_robust_training,
    kinds.ModelRepair: measure_model_repair,
    kinds.ModelDetector: measure_model_detector,
}


def _tested(metrics: Metrics, truth: GroundTruth) -> dict[str, dict[str, int]]:
    """Return the number of test images behind the shares; nothing for model detectors."""
    return {} if "models" in metrics else {"tested": {"clean": len(truth.test), "triggered": len(truth.rows)}}
