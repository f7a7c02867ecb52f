"""benchkit: every backdoor attack against every backdoor defense, in one table.

These are the public names, for plugin authors and for notebooks; only they are stable. Importing them is cheap:
torch is loaded only where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# First of all: importing the package benchkit.report, which this does, later would put it in the function's place.
from benchkit.api import report, run
from benchkit.components.baseline import NoAttack
from benchkit.components.wrapper import AttackWrapper
from benchkit.contracts.attack import Attack, CoverImages, SourceClasses, StrengthAtTest
from benchkit.contracts.data import Data, Poisoned, Source, Split, Tensors
from benchkit.contracts.dataset import Dataset, UnlabelledFolder
from benchkit.contracts.defense import CleanImages, Defense, Thresholded
from benchkit.contracts.hookspecs import hookimpl
from benchkit.contracts.kinds import (
    InputDetector,
    InputPurifier,
    ModelDetector,
    ModelRepair,
    RobustTraining,
    TrainingFilter,
)
from benchkit.contracts.natural import NaturalTrigger
from benchkit.contracts.outliers import OutlierDetector
from benchkit.contracts.scene import Scene
from benchkit.contracts.shadows import Shadows
from benchkit.contracts.sources import class_numbers
from benchkit.contracts.steering import Sam, Steering, Step
from benchkit.contracts.trained import Trained
from benchkit.contracts.verdict import Verdict
from benchkit.errors import BenchkitError, ContractError, DataError
from benchkit.params.component import Component, nested, param
from benchkit.protocol import cover_rows, poison_rows, share_of
from benchkit.records.metric import Metric
from benchkit.report.formats.results import Results

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier
    from benchkit.models.composite import Ensemble, FromFunction, Preprocessed

__version__ = "0.1.0"
API_VERSION = 1

__all__ = [
    "API_VERSION",
    "Attack",
    "AttackWrapper",
    "BenchkitError",
    "Classifier",
    "CleanImages",
    "Component",
    "ContractError",
    "CoverImages",
    "Data",
    "DataError",
    "Dataset",
    "Defense",
    "Ensemble",
    "FromFunction",
    "InputDetector",
    "InputPurifier",
    "Metric",
    "ModelDetector",
    "ModelRepair",
    "NaturalTrigger",
    "NoAttack",
    "OutlierDetector",
    "Poisoned",
    "Preprocessed",
    "Results",
    "RobustTraining",
    "Sam",
    "Scene",
    "Shadows",
    "Source",
    "SourceClasses",
    "Split",
    "Steering",
    "Step",
    "StrengthAtTest",
    "Tensors",
    "Thresholded",
    "Trained",
    "TrainingFilter",
    "UnlabelledFolder",
    "Verdict",
    "__version__",
    "class_numbers",
    "cover_rows",
    "hookimpl",
    "nested",
    "param",
    "poison_rows",
    "report",
    "run",
    "share_of",
]

HEAVY = {
    "Classifier": "benchkit.models.classifier",
    "Ensemble": "benchkit.models.composite",
    "FromFunction": "benchkit.models.composite",
    "Preprocessed": "benchkit.models.composite",
}
"""Where the public names are that load torch when they are first used."""


if not TYPE_CHECKING:  # to a type checker, an unknown name stays unknown

    def __getattr__(name: str) -> Any:
        if name not in HEAVY:
            raise AttributeError(f"module 'benchkit' has no attribute '{name}'")
        import importlib

        found = globals()[name] = getattr(importlib.import_module(HEAVY[name]), name)
        return found
