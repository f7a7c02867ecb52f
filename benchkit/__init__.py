"""benchkit: every backdoor attack against every backdoor defense, in one table.

These are the public names for plugin authors; nothing else is promised to stay. Importing them is cheap:
torch is loaded only by what needs it.
"""

from __future__ import annotations

from benchkit.api import Attack, CleanImages, Dataset, Defense
from benchkit.baseline import NoAttack
from benchkit.errors import BenchkitError, ContractError, DataError
from benchkit.hookspecs import hookimpl
from benchkit.kinds import (
    InputDetector,
    InputPurifier,
    ModelDetector,
    ModelRepair,
    RobustTraining,
    Thresholded,
    TrainingFilter,
)
from benchkit.params import Component, nested, param
from benchkit.scene import Data, Poisoned, Scene, Source, Split
from benchkit.shadows import Shadows
from benchkit.shares import share_of
from benchkit.wrapper import AttackWrapper

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
    "Data",
    "DataError",
    "Dataset",
    "Defense",
    "InputDetector",
    "InputPurifier",
    "ModelDetector",
    "ModelRepair",
    "NoAttack",
    "Poisoned",
    "RobustTraining",
    "Scene",
    "Shadows",
    "Source",
    "Split",
    "Thresholded",
    "TrainingFilter",
    "__version__",
    "hookimpl",
    "nested",
    "param",
    "share_of",
]
