"""benchkit: every backdoor attack against every backdoor defense, in one table.

These are the public names, for plugin authors and for notebooks; only they are stable. Importing them is cheap:
torch is loaded only where it is needed.
"""

from __future__ import annotations

# First of all: importing the package benchkit.report, which this does, later would put it in the function's place.
from benchkit.api import report, run
from benchkit.components.baseline import NoAttack
from benchkit.components.wrapper import AttackWrapper
from benchkit.contracts.attack import Attack, CoverImages, SourceClasses, StrengthAtTest
from benchkit.contracts.data import Data, Poisoned, Source, Split
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import (
    CleanImages,
    Defense,
    InputDetector,
    InputPurifier,
    ModelDetector,
    ModelRepair,
    RobustTraining,
    Thresholded,
    TrainingFilter,
)
from benchkit.contracts.hookspecs import hookimpl
from benchkit.contracts.outliers import OutlierDetector
from benchkit.contracts.scene import Scene
from benchkit.contracts.shadows import Shadows
from benchkit.contracts.trained import Trained
from benchkit.errors import BenchkitError, ContractError, DataError
from benchkit.params.component import Component, nested, param
from benchkit.protocol import cover_rows, poison_rows, share_of
from benchkit.report.formats.results import Results

__version__ = "0.1.0"
API_VERSION = 1

__all__ = [
    "API_VERSION",
    "Attack",
    "AttackWrapper",
    "BenchkitError",
    "CleanImages",
    "Component",
    "ContractError",
    "CoverImages",
    "Data",
    "DataError",
    "Dataset",
    "Defense",
    "InputDetector",
    "InputPurifier",
    "ModelDetector",
    "ModelRepair",
    "NoAttack",
    "OutlierDetector",
    "Poisoned",
    "Results",
    "RobustTraining",
    "Scene",
    "Shadows",
    "Source",
    "SourceClasses",
    "Split",
    "StrengthAtTest",
    "Thresholded",
    "Trained",
    "TrainingFilter",
    "__version__",
    "cover_rows",
    "hookimpl",
    "nested",
    "param",
    "poison_rows",
    "report",
    "run",
    "share_of",
]
