"""The files that ``benchkit new`` writes, as ``string.Template`` texts."""

from __future__ import annotations

PYPROJECT = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "benchkit-$name"
version = "0.1.0"
description = "The $what $name for benchkit"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["benchkit"]

[project.entry-points.benchkit]
$name = "$module"

[tool.setuptools]
py-modules = ["$module"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

README = """\
# benchkit-$name

The $what `$name` for benchkit.

    pip install -e .
    pytest                    # benchkit's conformance checks
    benchkit show $name

The code is in `$module.py`. Say in its docstring what it does, and which paper it follows.
"""

TEST = '''\
"""$cls keeps to benchkit's contracts."""

from $module import $cls

from benchkit.testing import Check, parametrize_with_checks


@parametrize_with_checks([$cls])
def test_conforms(check: Check) -> None:
    check()
'''

HEAD = '''\
"""The $what $name, a plugin for benchkit."""

from __future__ import annotations

from dataclasses import dataclass

'''

HOOK = '''

@benchkit.hookimpl
def benchkit_${group}() -> list[type[benchkit.$base]]:
    """Offer $cls."""
    return [$cls]
'''

ATTACK = '''\
from torch import Tensor

import benchkit


@dataclass(frozen=True)
class $cls(benchkit.Attack):
    """Paste a white square into the bottom-right corner (replace this by your trigger)."""

    name = "$name"
    paper = ""

    size: int = benchkit.param(3, "side of the square, in pixels", ge=1)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return a copy with the square in it: uint8 (N, C, H, W) -> the same."""
        stamped = images.clone()
        stamped[..., -self.size :, -self.size :] = 255
        return stamped

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a square that does not fit."""
        if self.size > min(shape[1:]):
            return f"size={self.size} does not fit into {shape[1]}x{shape[2]} pixels: make it smaller"
        return super().check(shape, classes)
'''

DATASET = '''\
import torch

import benchkit


@dataclass(frozen=True)
class $cls(benchkit.Dataset):
    """Noise on two levels of grey (replace this by your images)."""

    name = "$name"

    size: int = benchkit.param(16, "side of the images, in pixels", ge=8)

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Return both splits; your files belong under ``source.root / "$name"``."""
        return benchkit.Data(self._split(512, seed=0), self._split(128, seed=1), ("dark", "bright"))

    def _split(self, count: int, seed: int) -> benchkit.Split:
        rng = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 2
        noise = torch.randint(100, (count, 3, self.size, self.size), generator=rng)
        return benchkit.Split((noise + 100 * labels[:, None, None, None]).to(torch.uint8), labels)
'''
