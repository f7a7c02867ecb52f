"""Meta neural analysis (MNTD): learn from shadow models how a backdoor changes the outputs of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchkit_plugins._shared.seeded import seeded
from torch import Tensor

import benchkit

from .bound import upper_bound
from .jumbo import Jumbo, require_images, sampler_fault
from .meta import (
    WEIGHTS,
    MetaClassifiers,
    OneClass,
    TrainingSchedule,
    TwoClass,
    averaged,
    folds,
    fresh,
    turns,
    validating,
)

if TYPE_CHECKING:
    from .meta import Sample, Turn


@dataclass(frozen=True)
class Mna(benchkit.CleanImages, benchkit.ModelDetector):
    """Train many small models, half of them with random backdoors; learn to separate the halves by their outputs.

    The outputs are the logits of a few query images, which are optimised together with the small network that reads
    them (query tuning). Shadow models, triggers and network follow the paper and its released code; see :class:`Jumbo`
    for the former. ``jumbo=standard+smooth`` is the upgrade of Zeng et al. (ICCV 2021, Section 5.4), who do not say how
    they "consider the smooth trigger generation". ``one_class`` is the paper's variant without backdoored models; its
    score is also higher for more suspicious models.

    Differences from the released code: models are evaluated in eval mode, without dropout (``probe_mode=train`` turns
    it on; batch normalisation is always in eval mode). Both kinds of shadow models train for equally many steps. The
    paper averages the AUCs of its meta-classifiers; here they form one detector, the mean of their scores, each minus
    its mean over its training models. Of epochs with equal validation AUC the last one counts. With ``folds``, parts of
    the shadow models validate in turn, drawn anew for each repeat, so that every benign model has a score from
    meta-classifiers that did not learn from it, and the cutoff uses all of these (see ``upper_bound``); the first
    meta-classifier of each repeat judges victims. With ``folds=1``, as in the paper, the same models always validate,
    and meta-classifiers visit the others in a common order.

    The paper trains 4,608 models of its own CNN (``arch=mntd_cnn``) by ``recipe=mntd`` on 2 % of CIFAR-10, and judges
    models trained in the same way. Here victims are trained by another recipe, for longer. A meta-classifier trained on
    shadow models that are worse than victims does not transfer to victims, so the defaults use the victims' own recipe
    and architecture, with two thirds of the length but smaller batches, on all images. (From 250 images of ``scenes``,
    5 %, no shadow model learned anything in this time.) Queries that start as noise do not transfer either: the
    triggers of shadow models are noise, which makes these models easy to recognise. So the default queries start from
    clean images with a patch, are three times as many, and use standardised logits. The cutoff is valid for benign
    models like the shadow models, and victims differ slightly from these.
    """

    name = "mna"
    paper = "Xu et al., IEEE S&P 2021, Detecting AI Trojans Using Meta Neural Analysis"

    clean: float = benchkit.param(
        1.0, "clean images the defender holds, as a share of the training set (the paper: 2 % of CIFAR-10)", gt=0, le=1
    )
    models: int = benchkit.param(24, "shadow models, half of them backdoored (the paper: 4,608)", ge=4)
    jumbo: str = benchkit.param(
        "standard", "triggers of the shadow models, joined by +: standard (the paper's), flat, smooth, low-freq"
    )
    arch: str = benchkit.param("victim", "architecture of the shadow models: victim, or a name such as mntd_cnn")
    recipe: str = benchkit.param(
        "fast:budget=40000;batch=50", "how the shadow models are trained, with ; for , (the paper: mntd)"
    )
    images: int = benchkit.param(0, "clean images of each shadow model, with replacement; 0: as many as held", ge=0)
    queries: int = benchkit.param(30, "inputs a model is asked (the paper: 10)", ge=1)
    start: str = benchkit.param(
        "patched",
        "the queries before they are tuned: clean images with a random patch, or noise (the paper)",
        choices=("patched", "noise"),
    )
    hidden: int = benchkit.param(20, "width of the meta-classifier's hidden layer", ge=1)
    lr: float = benchkit.param(1e-3, "learning rate of Adam for the meta-classifier", gt=0)
    epochs: int = benchkit.param(10, "passes of the meta-classifier over the shadow models", ge=1)
    tune_queries: bool = benchkit.param(True, "optimise the queries together with the meta-classifier")
    logits: str = benchkit.param(
        "standardised",
        "bring each model's logits to one scale, or (raw, the paper) take them as they are",
        choices=("standardised", "raw"),
    )
    one_class: bool = benchkit.param(False, "learn from benign shadow models alone")
    nu: float = benchkit.param(0.1, "share of benign models the one-class boundary leaves out", gt=0, lt=1)
    probe_mode: str = benchkit.param(
        "eval", "ask models in eval mode, or (train, as released) with dropout on", choices=("eval", "train")
    )
    repeats: int = benchkit.param(5, "meta-classifiers whose scores are averaged", ge=1)
    folds: int = benchkit.param(
        4, "parts of the shadow models that validate in turn, as far as there are as many (the paper: 1)", ge=1
    )
    threshold: str = benchkit.param(
        "fpr:0.05",
        "share of benign models, like the shadow ones, that is flagged; or median, of both kinds (as released)",
        used_by_prepare=False,
    )

    def shadows(self) -> benchkit.Shadows:
        """Return the shadow models, those of jumbo learning."""
        architecture = "" if self.arch == "victim" else self.arch
        return Jumbo(self.models, self.clean, architecture, self.recipe.replace(";", ","), self.jumbo, self.images)

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        """Train the meta-classifiers on the shadow models.

        Returns the weights of all R of them (see :class:`MetaClassifiers`), ``centre``, float32 (R,), the mean score of
        each over its training models, and the averaged scores of models by meta-classifiers that did not learn from
        them: ``benign_scores`` and ``backdoored_scores``, float32 (M,).

        Raises:
            DataError: if there are too few clean images.
        """
        require_images(scene)
        samples = [
            (model.requires_grad_(requires_grad=False), bool(number % 2)) for number, model in enumerate(scene.shadows)
        ]
        with seeded(scene.rng):
            parts = list(turns(len(samples), self.folds, self.repeats))
            taught = [self._taught(scene, samples, turn) for turn in parts]
        scores = averaged([(turn.held, one.pop("held")) for turn, one in zip(parts, taught, strict=True)])
        # One of each repeat judges victims, as one of each repeat judged each shadow model, so the scores are
        # comparable.
        judges = taught[:: folds(len(samples), self.folds)]
        found = {name: torch.cat([one[name] for one in judges]) for name in taught[0]}
        for odd, name in enumerate(("benign_scores", "backdoored_scores")):
            found[name] = torch.stack([score for number, score in scores.items() if number % 2 == odd])
        return {name: value.cpu() for name, value in found.items()}

    def _taught(self, scene: benchkit.Scene, samples: list[Sample], turn: Turn) -> dict[str, Tensor]:
        """Train some meta-classifiers; return them, their ``centre``, and their averaged scores of ``held``.

        ``centre``, float32 (R,), is the mean of each one's scores over its training models, and is subtracted. It is
        not the mean over ``held``: the cutoff needs the scores of models that no weight was learned from. They do
        choose the epoch, so that a cutoff is a little low where the two kinds are hard to tell apart.
        """
        learned, held = ([samples[number] for number in numbers] for numbers in (turn.learned, turn.held))
        meta = self._meta(fresh(self._queries(scene, turn.together), scene.classes, self.hidden))
        course = TrainingSchedule(self.epochs, self.lr, self.tune_queries)
        if self.one_class:
            learned = [sample for sample in learned if not sample[1]]
            course.run(meta, OneClass(self.nu, len(learned)), learned, None)
        else:
            course.run(meta, TwoClass(), learned, held)
        centre = meta.scores([model for model, _ in learned]).mean(0)
        asked = meta.scores([model for model, _ in held]) - centre
        return {**meta.state(), "centre": centre, "held": asked.mean(1)}

    def score(self, scene: benchkit.Scene) -> float:
        """Return the mean of the meta-classifiers' scores, each minus its mean over its training models."""
        kept = {name: value.to(scene.device) for name, value in scene.prepared.items()}
        asked, answers = kept["queries"].shape[1] * scene.classes, kept["hidden_weight"].shape[2]
        if asked != answers:
            raise benchkit.ContractError(f"the meta-classifier reads {answers} logits, the victim gives {asked}")
        with seeded(scene.rng):
            scores = self._meta(kept).scores([scene.model])[0]
        return float((scores - kept["centre"]).mean())

    def flags_above(self, scene: benchkit.Scene) -> float:
        """Return the validation models' median score, or the bound that benign models exceed at the requested rate."""
        benign = scene.prepared["benign_scores"].double()
        if self.threshold == "median":
            return float(torch.cat((benign, scene.prepared["backdoored_scores"].double())).quantile(0.5))
        return upper_bound(benign, _false_alarms(self.threshold))

    def _meta(self, weights: dict[str, Tensor]) -> MetaClassifiers:
        weights = {name: weights[name] for name in WEIGHTS}
        return MetaClassifiers(weights, standardise=self.logits == "standardised", dropout=self.probe_mode == "train")

    def _queries(self, scene: benchkit.Scene, together: int) -> Tensor:
        """Draw the first queries, float32 (R, Q, C, H, W): clean images, or noise with their mean and deviation."""
        count, clean = together * self.queries, scene.clean.images
        if self.start == "noise":
            pixels = clean.double().transpose(0, 1).flatten(1) / 255
            mean, deviation = (x.float().view(-1, 1, 1).to(scene.device) for x in (pixels.mean(1), pixels.std(1)))
            drawn = mean + deviation * torch.randn(count, *scene.shape).to(scene.device)
        else:
            rows = torch.randint(len(clean), (count,))
            drawn = patched(clean[rows.to(clean.device)].to(scene.device) / 255)
        return drawn.view(together, self.queries, *scene.shape)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse invalid counts, triggers, thresholds and architectures."""
        return next(self._faults(shape, classes), None) or super().check(shape, classes)

    def _faults(self, shape: tuple[int, int, int], classes: int) -> Iterator[str]:
        if self.models % 2:
            yield f"models={self.models} cannot be half backdoored: give an even number"
        if folds(self.models, self.folds) * validating(self.models) < 4:
            yield f"models={self.models} leaves 1 benign model to set the cutoff by: give folds=2 or models=16, or more"
        if self.one_class and self.models - validating(self.models) < 4:
            yield f"one_class has to learn from 2 benign models or more, and models={self.models} leaves 1: give 6"
        if self.threshold != "median" and not 0 < _false_alarms(self.threshold) < 1:
            yield f"threshold={self.threshold} is neither fpr:X, X above 0 and under 1, nor median"
        if self.images and self.images < 2 * classes:
            yield f"images={self.images} are too few for {classes} classes: give {2 * classes} or more, or 0 for all"
        if not self.arch.strip() or not self.recipe.strip():
            yield "arch and recipe must not be empty: write victim or a model's name, and a recipe such as mntd"
        if fault := sampler_fault(self.jumbo, shape):
            yield fault


def patched(images: Tensor) -> Tensor:
    """Paste a square of noise into each image, float (N, C, H, W) in [0, 1]: 2 to 8 pixels of 32, anywhere.

    Two thirds of its values are 0 or 1. Everything is drawn from torch's global CPU generator.
    """
    count, _, height, width = images.shape
    most = max(2, min(height, width) // 4)
    size = torch.randint(2, most + 1, (count, 1))
    inside = []
    for length in (height, width):
        first = (torch.rand(count, 1) * (length - size + 1)).long()
        place = torch.arange(length)
        inside.append((place >= first) & (place < first + size))
    where = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    noise = (3 * torch.rand(images.shape) - 1).clamp(0, 1)
    return torch.where(where.to(images.device), noise.to(images.device), images)


def _false_alarms(threshold: str) -> float:
    """Return the X of fpr:X; NaN for any other text."""
    word, _, number = threshold.partition(":")
    try:
        return float(number) if word == "fpr" else float("nan")
    except ValueError:
        return float("nan")


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer meta neural analysis."""
    return [Mna]
