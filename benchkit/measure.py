"""The one place that knows how each kind of defense becomes metrics, by one protocol (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from benchkit import gates, kinds
from benchkit.api import Defense
from benchkit.baseline import NoDefense
from benchkit.errors import ContractError
from benchkit.models import Classifier
from benchkit.rates import Metrics, at_argmax, beyond_control, detection, filtering, mean
from benchkit.scene import Poisoned, Scene, Split
from benchkit.visibility import visibility

PROBE = 16
"""Images that are scored twice under one seed, to prove that a defense repeats itself."""


@dataclass(frozen=True)
class Truth:
    """What only the measurement knows. No plugin code ever receives it.

    Attributes:
        benign: the attack implants nothing, so nothing triggered exists.
        plain: the victim was trained by the benchmark's recipe, not by the attacker.
        test: the clean test split; on a benign row, as its processing left it.
        rows: int64 rows of ``test`` that were stamped: those whose label is not the attacker's wish.
        triggered: uint8, ``test.images[rows]`` with the trigger.
        wanted: int64, the label the attacker wants for each of them.
        control: uint8, the same images with the stamp's processing but without the trigger.
        train: the training set the defender is given, and the poison mask (kinds that see it).
        judged: predictions of the undefended victim (``clean``, ``triggered``) and of the benign one
            (``benign_triggered``, ``benign_clean``); empty without victims.
        audit: a model detector's ``score`` and ``threshold`` for this victim, and ``benign`` for the benign one.
    """

    benign: bool
    test: Split
    rows: Tensor
    triggered: Tensor
    wanted: Tensor
    control: Tensor
    train: Poisoned | None = None
    plain: bool = True
    judged: dict[str, Tensor] = field(default_factory=dict)
    audit: dict[str, float] = field(default_factory=dict)


SceneFor = Callable[..., Scene]
"""``scene_for(purpose)``: a fresh defender's scene whose rng depends only on the seed and the purpose."""
Predict = Callable[[Tensor], Tensor]


def measure(defense: Defense, scene_for: SceneFor, truth: Truth) -> tuple[Metrics, list[str]]:
    """Return one cell's metrics (fractions unless said otherwise) and warnings.

    Raises:
        ContractError: when the defense breaks its contract.
    """
    for kind, how in MEASURES.items():
        if isinstance(defense, kind):
            metrics = how(defense, scene_for, truth)
            return metrics, _warnings(metrics, truth)
    raise ContractError(f"{defense.name} derives from none of the defense kinds")


def accuracies(clean: Tensor, triggered: Tensor, truth: Truth) -> Metrics:
    """Return C-Acc over all test images, and ASR and RA over the triggered ones, from predicted labels."""
    metrics = {"c_acc": mean(clean == truth.test.labels)}
    if not truth.benign:
        metrics["asr"] = mean(triggered == truth.wanted)
        metrics["ra"] = mean(triggered == truth.test.labels[truth.rows])
    return metrics


def _baseline(truth: Truth) -> Metrics:
    return accuracies(truth.judged["clean"], truth.judged["triggered"], truth) if truth.judged else {}


def _defended(predict: Predict, truth: Truth) -> Metrics:
    """Return C-Acc, ASR, RA of a defended predictor, and DER against the undefended victim.

    DER = (max(0, fall of ASR) - max(0, fall of C-Acc) + 1) / 2 (Zhu et al., 2023).
    """
    triggered = predict(truth.triggered) if not truth.benign else truth.wanted
    metrics = accuracies(predict(truth.test.images), triggered, truth)
    before = _baseline(truth)
    if "asr" in before:
        gained = max(0.0, before["asr"] - metrics["asr"])
        lost = max(0.0, before["c_acc"] - metrics["c_acc"])
        metrics["der"] = (gained - lost + 1) / 2
    return metrics


def _labels(model: Classifier) -> Predict:
    return lambda images: model.logits(images).argmax(1).to(images.device)


def measure_baseline(defense: NoDefense, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Return what the attack did to the undefended victim and to a clean model, and how much of it can be seen."""
    metrics = _baseline(truth)
    if not truth.benign:
        metrics["asr_clean_model"] = mean(truth.judged["benign_triggered"] == truth.wanted)
        metrics |= visibility(truth.test.images[truth.rows], truth.triggered)
    return metrics


def measure_input_detector(defense: kinds.InputDetector, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Score the clean and the triggered copies of the same test images; flag above the defender's threshold."""
    threshold = gates.number(defense.name, "cutoff", defense.cutoff(scene_for("threshold")))
    clean = _scored(defense, truth.test.images, scene_for, "clean")
    if truth.benign:
        metrics = {"fpr": mean(clean > threshold)}
    else:
        triggered = _scored(defense, truth.triggered, scene_for, "triggered")
        plain = clean[truth.rows.cpu()]
        metrics = detection(plain, triggered, threshold)
        control = _control(defense, plain, scene_for, truth)
        metrics |= beyond_control(control, triggered, threshold)
        metrics |= at_argmax(plain, triggered, control) if defense.natural else {}
        if truth.judged:
            hits = (truth.judged["triggered"] == truth.wanted).cpu()
            metrics["asr_after"] = mean(hits & (triggered <= threshold))
    if truth.judged:
        right = (truth.judged["clean"] == truth.test.labels).cpu()
        metrics["c_acc_after"] = mean(right & (clean <= threshold))
    return metrics


def _control(defense: kinds.InputDetector, plain: Tensor, scene_for: SceneFor, truth: Truth) -> Tensor:
    """Return the scores of the control images; where the stamp only adds its trigger, those are the clean ones."""
    if truth.control.equal(truth.test.images[truth.rows]):
        return plain
    return _scored(defense, truth.control, scene_for, "control")


def _scored(defense: kinds.InputDetector, images: Tensor, scene_for: SceneFor, which: str) -> Tensor:
    """Return one checked score per image, float64 on the CPU."""
    probe = images[:PROBE]
    once, again = (defense.score(probe.clone(), scene_for("probe")) for _ in range(2))
    first = gates.scores(defense.name, "score", once, len(probe))
    gates.repeats(defense.name, "score", first, gates.scores(defense.name, "score", again, len(probe)))
    return gates.scores(defense.name, "score", defense.score(images, scene_for(f"score {which}")), len(images))


def measure_input_purifier(defense: kinds.InputPurifier, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Classify purified images with the victim."""
    probe = truth.test.images[:PROBE]
    once, again = (
        gates.images(defense.name, "purify", probe, defense.purify(probe.clone(), scene_for("probe"))) for _ in range(2)
    )
    gates.repeats(defense.name, "purify", once, again)
    victim = _labels(scene_for("victim", grant=True).model)

    def predict(images: Tensor) -> Tensor:
        cleaned = defense.purify(images.clone(), scene_for("purify"))
        return victim(gates.images(defense.name, "purify", images, cleaned))

    return _defended(predict, truth)


def measure_training_filter(defense: kinds.TrainingFilter, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Drop what is suspicious, compare with the mask, retrain on the rest with the benchmark's recipe."""
    poisoned = _given(truth)
    raw = defense.suspicion(poisoned.data, scene_for("suspicion"))
    drop = gates.scores(defense.name, "suspicion", raw, len(poisoned.data)) > 0
    metrics = filtering(drop, poisoned.mask.cpu())
    keep = (~drop).nonzero().squeeze(1).to(poisoned.data.labels.device)
    if poisoned.data.labels[keep].bincount().count_nonzero() < 2:
        raise ContractError(f"{defense.name} dropped {mean(drop):.0%} of the training set: fewer than 2 classes remain")
    if truth.judged and truth.plain and not drop.any():
        # Retraining on the same images by the same recipe is what made the victim.
        return metrics | _unchanged(truth)
    retrained = scene_for("retrain").fit(poisoned.data[keep])
    return metrics | _defended(_labels(retrained), truth)


def _unchanged(truth: Truth) -> Metrics:
    """Return the metrics of a defense that left the victim as it was."""
    return _baseline(truth) | ({} if truth.benign else {"der": 0.5})


def measure_robust_training(defense: kinds.RobustTraining, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Let the defense train on the poisoned set."""
    trained = defense.train(_given(truth).data, scene_for("train"))
    return _defended(_labels(gates.model(defense.name, "train", trained)), truth)


def measure_model_repair(defense: kinds.ModelRepair, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Let the defense repair its copy of the victim."""
    repaired = defense.repair(scene_for("repair"))
    return _defended(_labels(gates.model(defense.name, "repair", repaired)), truth)


def audit(defense: kinds.ModelDetector, scene_for: SceneFor) -> Metrics:
    """Return a model detector's score and threshold for the victim in its scene."""
    return {
        "score": gates.number(defense.name, "score", defense.score(scene_for("score"))),
        "threshold": gates.number(defense.name, "cutoff", defense.cutoff(scene_for("threshold"))),
    }


def measure_model_detector(defense: kinds.ModelDetector, scene_for: SceneFor, truth: Truth) -> Metrics:
    """Compare the scores of the victim and of the benign victim of the same seed.

    One pair gives an AUROC of 0, 0.5 or 1; its mean over seeds estimates the population's without bias.
    """
    score, benign = truth.audit["score"], truth.audit["benign"]
    flagged, false_alarm = (float(one > truth.audit["threshold"]) for one in (score, benign))
    if truth.benign:
        return {"score": score, "fpr": flagged}
    auroc = 0.5 if score == benign else float(score > benign)
    accuracy = (flagged + 1 - false_alarm) / 2
    return {"score": score, "auroc": auroc, "acc": accuracy, "bdr": flagged, "fpr": false_alarm}


def _given(truth: Truth) -> Poisoned:
    if truth.train is None:
        raise ContractError("this kind of defense is measured with the training set")
    return truth.train


MEASURES: dict[type[Defense], Callable[[Any, SceneFor, Truth], Metrics]] = {
    NoDefense: measure_baseline,
    kinds.InputDetector: measure_input_detector,
    kinds.InputPurifier: measure_input_purifier,
    kinds.TrainingFilter: measure_training_filter,
    kinds.RobustTraining: measure_robust_training,
    kinds.ModelRepair: measure_model_repair,
    kinds.ModelDetector: measure_model_detector,
}


def _warnings(metrics: Metrics, truth: Truth) -> list[str]:
    """Return one sentence for each number that a reader must not take at face value."""
    found = []
    if metrics.get("auroc", 1.0) < 0.4 and "tpr_at_1fpr" in metrics:
        found.append("AUROC is far below 0.5: the scores separate, but the wrong way round")
    if truth.judged and not truth.benign:
        base = mean(truth.judged["benign_clean"][truth.rows] == truth.wanted)
        moved = mean(truth.judged["benign_triggered"] == truth.wanted)
        margin = max(0.05, 3 * (base * (1 - base) / len(truth.rows)) ** 0.5)
        if moved > base + margin:
            found.append("the trigger alone moves a clean model: part of the ASR is not a backdoor")
        if _baseline(truth)["asr"] < 0.5:
            found.append("the attack did not implant: below 50 % ASR without any defense")
    return found
