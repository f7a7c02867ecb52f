"""The step that decodes a dataset."""

from __future__ import annotations

from benchkit.contracts import data_checks
from benchkit.contracts.data import Data, Split, Tensors
from benchkit.spec.spec import component
from benchkit.stages.workspace import Result, Task
from benchkit.text import printable

NAMED = 5
"""Classes that a sentence names."""


def make_data(task: Task) -> Result:
    """Decode a dataset."""
    dataset = component(task.job.dataset, "datasets", task.registry)
    data = data_checks.data(dataset.name, dataset.load(task.workspace.source))
    tensors = {
        "train_images": data.train.images,
        "train_labels": data.train.labels,
        "test_images": data.test.images,
        "test_labels": data.test.labels,
        **_attributes("train", data.train),
        **_attributes("test", data.test),
    }
    shape = [int(side) for side in data.train.images.shape[1:]]
    sizes = {"train": len(data.train), "test": len(data.test)}
    notes = [printable(note) for note in (*data.notes, *_classes_without_images(data))]
    names = sorted(data.train.attributes)
    info = {"classes": list(data.classes), "shape": shape, **sizes, "notes": notes}
    return tensors, info | ({"attributes": names} if names else {})


def _attributes(part: str, split: Split) -> Tensors:
    return {f"{part}_has_{name}": has for name, has in split.attributes.items()}


def _classes_without_images(data: Data) -> list[str]:
    """Return a sentence for each split that lacks classes."""
    lost = {"training": "no model learns it", "test": "C-Acc and ASR say nothing of it"}
    said = []
    for (what, why), split in zip(lost.items(), (data.train, data.test), strict=True):
        counts = split.labels.bincount(minlength=len(data.classes)).tolist()
        lacking = [name for name, count in zip(data.classes, counts, strict=True) if not count]
        some = ", ".join(lacking[:NAMED]) + (f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else "")
        said += [f"no {what} image is of class {some}: {why}"] if lacking else []
    return said
