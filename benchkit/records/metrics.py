"""What each number means, and which one judges a defense kind. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchkit.records.metric import Metric

CRAFTED = "craft_"
"""What the names of the numbers begin with that an attack's ``prepare`` reports."""


NEEDED = {
    "model": "the victim model",
    "logits": "the victim's logits, not its weights",
    "labels": "the victim's predicted labels alone",
    "train": "the victim's training set",
}
"""What a defense may need of a victim, in words."""


_ALL = (
    Metric("c_acc", "C-Acc", "higher", "%", "share of clean test images that are classified correctly"),
    Metric(
        "asr",
        "ASR",
        "lower",
        "%",
        "attack success rate, share of triggered test images of other classes that end in the target class",
    ),
    Metric("asr_others", "ASR, other classes", "neither", "%", "the same share for classes that it is not meant for"),
    Metric(
        "asr_control",
        "ASR control",
        "neither",
        "%",
        "share of control images, processed as the attack's stamp does but without its trigger, that end there, too",
    ),
    Metric(
        "asr_clean_model",
        "ASR, clean model",
        "neither",
        "%",
        "the same share for the benign victim: what the trigger does without a backdoor",
    ),
    Metric("asr_retuned", "ASR retuned", "lower", "%", "ASR after 5 more epochs with 5 poisons among clean images"),
    Metric("asr_retuned_benign", "ASR retuned, benign", "neither", "%", "the same for the benign victim"),
    Metric("asr_finetuned", "ASR fine-tuned", "neither", "%", "ASR after plain fine-tuning as long as the repair's"),
    Metric("c_acc_finetuned", "C-Acc fine-tuned", "neither", "%", "C-Acc after the same plain fine-tuning"),
    Metric("ra", "RA", "higher", "%", "share of triggered test images that still get their true class"),
    Metric(
        "der",
        "DER",
        "higher",
        "%",
        "defense effectiveness rating, (drop in ASR - drop in C-Acc + 1) / 2; 50 means no effect",
        idle=0.5,
    ),
    Metric(
        "auroc",
        "AUROC",
        "higher",
        "%",
        "chance that a triggered input (or a backdoored model) outscores a clean one; 50 is guessing",
        idle=0.5,
        ends=("auroc_low", "auroc_high"),
    ),
    Metric("auroc_low", "AUROC low", "neither", "%", "lower end of its 95 % bootstrap interval over a population"),
    Metric("auroc_high", "AUROC high", "neither", "%", "upper end of its 95 % bootstrap interval over a population"),
    Metric("acc", "ACC", "higher", "%", "share of right verdicts, over as many clean as triggered test images"),
    Metric("bdr", "BDR", "higher", "%", "backdoor detection rate, the share of triggered inputs flagged"),
    Metric("fpr", "FPR", "lower", "%", "false alarms, the share of clean images (or models) that are flagged"),
    Metric(
        "fpr_control",
        "FPR control",
        "lower",
        "%",
        "share of control images flagged: processed as the attack's stamp does, but without its trigger",
    ),
    Metric("bdr_net", "BDR - control", "higher", "%", "BDR minus FPR control: what is owed to the trigger itself", 0.0),
    Metric(
        "auroc_control",
        "AUROC control",
        "higher",
        "%",
        "chance that a triggered input outscores a control image; 50 is guessing",
        idle=0.5,
    ),
    Metric("acc_argmax", "ACC argmax", "higher", "%", "ACC at the detector's own boundary, as papers report it"),
    Metric("bdr_argmax", "BDR argmax", "higher", "%", "BDR at the detector's own boundary"),
    Metric("fpr_argmax", "FPR argmax", "lower", "%", "false alarms at the detector's own boundary"),
    Metric("fpr_control_argmax", "FPR control argmax", "lower", "%", "FPR control at the detector's own boundary"),
    Metric(
        "tpr_at_1fpr",
        "TPR@1%FPR",
        "higher",
        "%",
        "share of triggered inputs flagged where 1 % of clean inputs are",
    ),
    Metric(
        "tpr_at_5fpr",
        "TPR@5%FPR",
        "higher",
        "%",
        "share of triggered inputs flagged where 5 % of clean inputs are",
    ),
    Metric(
        "c_acc_after",
        "C-Acc after",
        "higher",
        "%",
        "share of clean test images that are accepted and classified correctly",
    ),
    Metric(
        "asr_after",
        "ASR after",
        "lower",
        "%",
        "share of triggered test images that are accepted and end in the target class",
    ),
    Metric(
        "precision",
        "precision",
        "higher",
        "%",
        "share of the dropped training images that were poisoned, covers left out",
    ),
    Metric(
        "target_found",
        "target found",
        "higher",
        "%",
        "share of backdoored models, or of runs, in which the defense suspects the attack's target class",
    ),
    Metric(
        "certified_acc",
        "certified acc",
        "higher",
        "%",
        "share of clean test images that are classified correctly whatever else the attacker does to as many images",
    ),
    Metric(
        "certified_radius",
        "certified radius",
        "higher",
        "images",
        "training images that may be changed without changing the answer, median over clean test images",
    ),
    Metric("recall", "recall", "higher", "%", "share of the poisoned training images that were dropped"),
    Metric("cover_recall", "cover recall", "neither", "%", "share of the attack's covers that were dropped"),
    Metric(
        "psnr", "PSNR", "neither", "", "how far triggered images are from clean ones, in dB; higher is less visible"
    ),
    Metric("ssim", "SSIM", "neither", "", "structural similarity of triggered and clean images; 1 is equal"),
    Metric("linf", "L-inf", "neither", "", "largest change of a pixel (0 to 1), mean over images"),
    Metric("l2", "L2", "neither", "", "Euclidean norm of the change of an image (pixels 0 to 1), mean over images"),
    Metric("poisoned", "poisoned", "neither", "%", "share of the training set that was actually poisoned"),
    Metric(
        "covered",
        "covered",
        "neither",
        "%",
        "share of the training set that are covers: changed by the attacker, with their true label",
    ),
    Metric("models", "models", "neither", "", "backdoored models that a model detector judged, and as many benign"),
    Metric("score", "score", "neither", "", "a model detector's score, higher = more likely backdoored"),
    Metric(
        "seconds",
        "seconds",
        "lower",
        "",
        "wall-clock seconds of the defense with its own preparation, victim not counted",
    ),
    Metric("peak_mb", "peak MB", "lower", "", "peak memory of the defense with its own preparation, in megabytes"),
    Metric("peak_device_mb", "peak device MB", "lower", "", "the same on the GPU"),
)
METRICS = {metric.name: metric for metric in _ALL}
AT_PUBLISHED_FPR = Metric(
    "bdr_at_published_fpr",
    "BDR at the published FPR",
    "higher",
    "%",
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


def metric(name: str, declared: Mapping[str, Metric] = MappingProxyType({})) -> Metric:
    """Return what is known of a metric: one of ours, or one that records declare, or else its name alone."""
    if name == AT_PUBLISHED_FPR.name:
        return AT_PUBLISHED_FPR
    return METRICS.get(name) or declared.get(name) or Metric(name, about="reported by the cell")


def headline(kind: str, benign: bool) -> tuple[str, ...]:
    """Return the metrics a defense kind shows by default; the last one is what it is judged by.

    Nothing is there to detect or to succeed on the benign row, so it shows what a defense costs:
    a detector's false alarms, C-Acc for all others.
    """
    names = HEADLINE.get(kind, ("c_acc", "asr"))
    if benign:
        return ("fpr",) if names[-1] == "auroc" else ("c_acc",)
    return names


def by_chance(rate: float, classes: int) -> str:
    """Return how often a cutoff flags a clean model, in words; ``rate`` is a share."""
    percent = 100 * rate
    told = f"{percent:.0f}" if percent >= 10 else f"{percent:.2g}"
    return f"its cutoff flags {told} % of clean {classes}-class models by chance alone"
