"""What each number means, and which one judges a defense kind. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TOO_WIDE = ">50"
CRAFTED = "craft_"
"""What the names of the numbers begin with that an attack's ``prepare`` reports."""


NEEDED = {
    "model": "the victim model",
    "logits": "the victim's logits, not its weights",
    "labels": "the victim's predicted labels alone",
    "train": "the victim's training set",
}
"""What a defense may need of a victim, in words."""


@dataclass(frozen=True)
class Metric:
    """One measured quantity. Records hold fractions in [0, 1] where ``percent`` is true.

    ``idle`` is what guessing, or doing nothing, comes to: who does no better has won nothing.
    ``ends`` are the metrics that hold the ends of this one's own interval under one seed.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "neither"]
    percent: bool
    help: str
    idle: float | None = None
    ends: tuple[str, str] | None = None

    def text(self, value: float) -> str:
        """Write a value as tables show it: percent with one decimal, anything else with three digits."""
        if self.percent:
            return f"{100 * value:z.1f}"  # no minus in front of a zero
        return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:z.3g}"

    def half(self, width: float) -> str:
        """Write half the width of an interval; one that spans more than half of all shares tells no number."""
        return TOO_WIDE if self.percent and width > 0.5 else self.text(width)

    def is_idle(self, value: float) -> bool:
        """Return whether a value reads no better than guessing, or doing nothing, does."""
        if self.idle is None:
            return False
        worse = value < self.idle if self.better == "higher" else value > self.idle
        return worse or self.text(value) == self.text(self.idle)

    def legend(self) -> str:
        """Return the line that explains this metric below a table."""
        ways = ["%"] if self.percent else []
        ways += [f"{self.better} is better"] if self.better != "neither" else []
        return f"{self.title} ({', '.join(ways)}): {self.help}" if ways else f"{self.title}: {self.help}"


_ALL = (
    Metric("c_acc", "C-Acc", "higher", True, "share of clean test images that are classified correctly"),
    Metric(
        "asr",
        "ASR",
        "lower",
        True,
        "attack success rate, share of triggered test images of other classes that end in the target class",
    ),
    Metric("asr_others", "ASR, other classes", "neither", True, "the same share for classes that it is not meant for"),
    Metric(
        "asr_control",
        "ASR control",
        "neither",
        True,
        "share of control images, processed as the attack's stamp does but without its trigger, that end there, too",
    ),
    Metric(
        "asr_clean_model",
        "ASR, clean model",
        "neither",
        True,
        "the same share for the benign victim: what the trigger does without a backdoor",
    ),
    Metric("asr_retuned", "ASR retuned", "lower", True, "ASR after 5 more epochs with 5 poisons among clean images"),
    Metric("asr_retuned_benign", "ASR retuned, benign", "neither", True, "the same for the benign victim"),
    Metric("asr_finetuned", "ASR fine-tuned", "neither", True, "ASR after plain fine-tuning as long as the repair's"),
    Metric("c_acc_finetuned", "C-Acc fine-tuned", "neither", True, "C-Acc after the same plain fine-tuning"),
    Metric("ra", "RA", "higher", True, "share of triggered test images that still get their true class"),
    Metric(
        "der",
        "DER",
        "higher",
        True,
        "defense effectiveness rating, (drop in ASR - drop in C-Acc + 1) / 2; 50 means no effect",
        idle=0.5,
    ),
    Metric(
        "auroc",
        "AUROC",
        "higher",
        True,
        "chance that a triggered input (or a backdoored model) outscores a clean one; 50 is guessing",
        idle=0.5,
        ends=("auroc_low", "auroc_high"),
    ),
    Metric("auroc_low", "AUROC low", "neither", True, "lower end of its 95 % bootstrap interval over a population"),
    Metric("auroc_high", "AUROC high", "neither", True, "upper end of its 95 % bootstrap interval over a population"),
    Metric("acc", "ACC", "higher", True, "share of right verdicts, over as many clean as triggered test images"),
    Metric("bdr", "BDR", "higher", True, "backdoor detection rate, the share of triggered inputs flagged"),
    Metric("fpr", "FPR", "lower", True, "false alarms, the share of clean images (or models) that are flagged"),
    Metric(
        "fpr_control",
        "FPR control",
        "lower",
        True,
        "share of control images flagged: processed as the attack's stamp does, but without its trigger",
    ),
    Metric(
        "bdr_net", "BDR - control", "higher", True, "BDR minus FPR control: what is owed to the trigger itself", 0.0
    ),
    Metric(
        "auroc_control",
        "AUROC control",
        "higher",
        True,
        "chance that a triggered input outscores a control image; 50 is guessing",
        idle=0.5,
    ),
    Metric("acc_argmax", "ACC argmax", "higher", True, "ACC at the detector's own boundary, as papers report it"),
    Metric("bdr_argmax", "BDR argmax", "higher", True, "BDR at the detector's own boundary"),
    Metric("fpr_argmax", "FPR argmax", "lower", True, "false alarms at the detector's own boundary"),
    Metric("fpr_control_argmax", "FPR control argmax", "lower", True, "FPR control at the detector's own boundary"),
    Metric(
        "tpr_at_1fpr",
        "TPR@1%FPR",
        "higher",
        True,
        "share of triggered inputs flagged where 1 % of clean inputs are",
    ),
    Metric(
        "tpr_at_5fpr",
        "TPR@5%FPR",
        "higher",
        True,
        "share of triggered inputs flagged where 5 % of clean inputs are",
    ),
    Metric(
        "c_acc_after",
        "C-Acc after",
        "higher",
        True,
        "share of clean test images that are accepted and classified correctly",
    ),
    Metric(
        "asr_after",
        "ASR after",
        "lower",
        True,
        "share of triggered test images that are accepted and end in the target class",
    ),
    Metric(
        "precision",
        "precision",
        "higher",
        True,
        "share of the dropped training images that were poisoned, covers left out",
    ),
    Metric("recall", "recall", "higher", True, "share of the poisoned training images that were dropped"),
    Metric("cover_recall", "cover recall", "neither", True, "share of the attack's covers that were dropped"),
    Metric(
        "psnr", "PSNR", "neither", False, "how far triggered images are from clean ones, in dB; higher is less visible"
    ),
    Metric("ssim", "SSIM", "neither", False, "structural similarity of triggered and clean images; 1 is equal"),
    Metric("linf", "L-inf", "neither", False, "largest change of a pixel (0 to 1), mean over images"),
    Metric("l2", "L2", "neither", False, "Euclidean norm of the change of an image (pixels 0 to 1), mean over images"),
    Metric("poisoned", "poisoned", "neither", True, "share of the training set that was actually poisoned"),
    Metric(
        "covered",
        "covered",
        "neither",
        True,
        "share of the training set that are covers: changed by the attacker, with their true label",
    ),
    Metric("models", "models", "neither", False, "backdoored models that a model detector judged, and as many benign"),
    Metric("score", "score", "neither", False, "a model detector's score, higher = more likely backdoored"),
    Metric(
        "seconds",
        "seconds",
        "lower",
        False,
        "wall-clock seconds of the defense with its own preparation, victim not counted",
    ),
    Metric("peak_mb", "peak MB", "lower", False, "peak memory of the defense with its own preparation, in megabytes"),
    Metric("peak_device_mb", "peak device MB", "lower", False, "the same on the GPU"),
)
METRICS = {metric.name: metric for metric in _ALL}
AT_PUBLISHED_FPR = Metric(
    "bdr_at_published_fpr",
    "BDR at the published FPR",
    "higher",
    True,
    "share of triggered inputs flagged where as many clean ones are as in the publication, read off the ROC curve",
)
"""No record holds it: it depends on what ours is set against."""

# The order of the kinds here is the order of the columns in a matrix.
HEADLINE = {
    "baseline": ("c_acc", "asr"),
    "input detector": ("bdr_net", "auroc"),
    "input purifier": ("c_acc", "asr"),
    "training filter": ("c_acc", "asr"),
    "robust training": ("c_acc", "asr"),
    "model repair": ("c_acc", "asr"),
    "model detector": ("auroc",),
}


def metric(name: str) -> Metric:
    """Return what is known of a metric; a plugin's own metric is shown under its plain name."""
    if name == AT_PUBLISHED_FPR.name:
        return AT_PUBLISHED_FPR
    said = "reported by the attack's crafting" if name.startswith(CRAFTED) else "reported by the cell"
    return METRICS.get(name) or Metric(name, name, "neither", False, said)


def headline(kind: str, benign: bool) -> tuple[str, ...]:
    """Return the metrics a defense kind shows by default; the last one is what it is judged by.

    Nothing is there to detect or to succeed on the benign row, so it shows what a defense costs:
    a detector's false alarms, C-Acc for all others.
    """
    names = HEADLINE.get(kind, ("c_acc", "asr"))
    if benign:
        return ("fpr",) if names[-1] == "auroc" else ("c_acc",)
    return names


def titles(names: Sequence[str]) -> str:
    """Return the titles of metrics that stand in one table cell, such as ``C-Acc / ASR``."""
    return " / ".join(metric(name).title for name in names)


def by_chance(rate: float, classes: int) -> str:
    """Return how often a cutoff flags a clean model, in words; ``rate`` is a share."""
    percent = 100 * rate
    told = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
    return f"its cutoff flags {told} % of clean {classes}-class models by chance alone"
