"""What each step of a matrix called, and changes of what it called, for tests of what keys follow."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import benchkit
from benchkit.plan import fingerprint, source
from benchkit.plan.job import Job
from benchkit.spec.registry import Registry
from benchkit.spec.spec import component, recipe
from benchkit.stages.workspace import Task

HOME = Path(benchkit.__file__).parent
Function = tuple[str, str]
MakeIt = Callable[[Task], Any]


class Watch:
    """Remembers which functions of benchkit each step called: module and name, methods as Class.method."""

    def __init__(self) -> None:
        self.called: dict[Identity, set[Function]] = defaultdict(set)
        self.current: set[Function] = set()
        self._known: dict[CodeType, Function | None] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code
            if code not in self._known:  # a step calls few functions, each of them very often
                self._known[code] = self._named(code)
            if (function := self._known[code]) is not None:
                self.current.add(function)

    @staticmethod
    def _named(code: CodeType) -> Function | None:
        if not code.co_filename.startswith(str(HOME)):
            return None
        name = code.co_qualname.partition(".<locals>")[0]
        module = ".".join(Path(code.co_filename).relative_to(HOME.parent).with_suffix("").parts)
        return None if source.is_plumbing(module) or "<" in name else (module, name)

    def around(self, stage: str, run: MakeIt) -> MakeIt:
        def watched(task: Task) -> Any:
            self.current = self.called[Identity.of(stage, task.job, task.registry)]
            sys.setprofile(self)
            try:
                return run(task)
            finally:
                sys.setprofile(None)

        return watched


@dataclass(frozen=True)
class Identity:
    """What makes the code part of a step's own key: its stage, and the components that its job names."""

    stage: str
    components: frozenset[benchkit.Component]

    @classmethod
    def of(cls, stage: str, job: Job, registry: Registry) -> Identity:
        kinds = ("attack", "defense", "dataset")
        found = {component(text, f"{kind}s", registry) for kind in kinds if (text := getattr(job, kind))}
        told = (one.shadows() for one in found if isinstance(one, benchkit.Defense))
        shadows = {one for one in told if one is not None}
        return cls(stage, frozenset({recipe(job.recipe), *found, *shadows}))

    def key(self) -> list[object]:
        code = fingerprint.code_of(f"benchkit.stages.run:make_{self.stage}")
        return [code, *(fingerprint.component_id(one) for one in sorted(self.components, key=repr))]


def text_of(module: str) -> str:
    path = source.source(module)
    assert path is not None
    return path.read_text()


def changed(text: str, name: str) -> str:
    """Return source text with a statement added to one function."""
    tree = ast.parse(text)
    body: list[ast.stmt] = tree.body
    for part in name.split("."):
        named = (node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef))
        body = next(node.body for node in named if node.name == part)
    body.append(ast.parse("changed = 1").body[0])
    return ast.unparse(tree)


def definition(module: str, name: str) -> source.Definition:
    """Return what is known of a function, or of a method."""
    first, *rest = name.split(".")
    found = source.read(module).definitions[first]
    for part in rest:
        found = found.methods[part]
    return found
