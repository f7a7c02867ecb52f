"""benchkit: every backdoor attack against every backdoor defense, in one table.

These are the public names for plugin authors; nothing else is promised to stay. Importing them is cheap:
torch is loaded only by what needs it.
"""

from __future__ import annotations

from benchkit.api import (
    Attack,
    Dataset,
    Defense,
    InputDetector,
    InputPurifier,
    ModelDetector,
    ModelRepair,
    RobustTraining,
    TrainingFilter,
)
from benchkit.errors import BenchkitError, ContractError, DataError
from benchkit.hookspecs import hookimpl
from benchkit.params import Component, param
from benchkit.scene import Data, Poisoned, Scene, Source, Split

__version__ = "0.1.0"
API_VERSION = 1

__all__ = [
    "API_VERSION",
    "Attack",
    "BenchkitError",
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
    "Poisoned",
    "RobustTraining",
    "Scene",
    "Source",
    "Split",
    "TrainingFilter",
    "__version__",
    "hookimpl",
    "param",
]
