"""Keys follow the code that a stage runs: what was seen to run in a toy matrix is what a key must notice."""

from __future__ import annotations

import ast
import itertools
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import benchkit
from benchkit.execute.executors.worker import make_workspace, outcome_of
from benchkit.execute.resolve import CPU_DEFAULTS, DEFAULTS
from benchkit.plan import fingerprint, reach, source
from benchkit.plan.job import Job
from benchkit.plan.planner import plan
from benchkit.spec.installed import find
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import component, make, recipe
from benchkit.stages import run
from benchkit.stages.cell import make_cell
from benchkit.stages.workspace import Task

PLUGINS = [Path(__file__).parents[1] / name for name in ("toy.py", "fitter.py")]
HOME = Path(benchkit.__file__).parent
OPTIONS: dict[str, str | bool] = {
    **DEFAULTS,
    **CPU_DEFAULTS,
    "attacks": "none,corner,wanet:k=2,troj-sq:steps=2,invisible:base=corner",
    "defenses": "brightest,shrink-pad,spectral-signatures,fine-tuning,abl:unlearn_epochs=1,head-mean,surprised,"
    "mna:models=4,recipe=fast:epochs=1,images=40,queries=2,epochs=1,repeats=1",
    "datasets": "toy",
    "recipe": "fast:epochs=1",
    "retune": True,
}
POPULATION: dict[str, str | bool] = {"attacks": "none,corner", "defenses": "loud", "population": "2", "retune": False}
Function = tuple[str, str]
MakeIt = Callable[[Task], Any]
WithText = Callable[[str, str], AbstractContextManager[None]]


class Watch:
    """Remembers which functions of benchkit each step called: module and name, methods as Class.method."""

    def __init__(self) -> None:
        self.called: dict[Identity, set[Function]] = defaultdict(set)
        self.current: set[Function] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(HOME)):
            name = frame.f_code.co_qualname.partition(".<locals>")[0]
            path = Path(frame.f_code.co_filename).relative_to(HOME.parent).with_suffix("")
            module = ".".join(path.parts)
            if not source.is_plumbing(module) and "<" not in name:
                self.current.add((module, name))

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


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[Identity, set[Function]]:
    """Run a toy matrix in this process; return what each kind of step called."""
    watch, patch = Watch(), pytest.MonkeyPatch()
    for stage, make_it in run.STAGES.items():
        patch.setitem(run.STAGES, stage, watch.around(stage, make_it))
    patch.setattr(run, "make_cell", watch.around("cell", make_cell))
    registry = load(PLUGINS)
    results = str(tmp_path_factory.mktemp("results"))
    setup = {"results": results, "device": "cpu", "data_root": ".", "download": False}
    setup |= {"plugin_files": [*map(str, PLUGINS)], "plugins": [asdict(one) for one in find()]}
    workspace = make_workspace(setup)
    for options in (OPTIONS, OPTIONS | POPULATION):
        spec = make(options, registry)
        for step in plan(spec, dict.fromkeys(spec.sources(), "")).steps.values():
            outcome = outcome_of(workspace, step.job)
            assert outcome["state"] == "done", outcome
    patch.undo()
    return dict(watch.called)


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


@pytest.fixture
def with_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WithText:
    """Let a module have another text, as far as fingerprints can see."""
    numbers, plain = itertools.count(), source.source

    @contextmanager
    def replaced(module: str, text: str) -> Iterator[None]:
        path = tmp_path / f"{next(numbers)}.py"
        path.write_text(text)
        with monkeypatch.context() as patch:
            for one in (source, reach):
                patch.setattr(one, "source", lambda name: path if name == module else plain(name))
            fingerprint._code_of.cache_clear()
            yield
        fingerprint._code_of.cache_clear()

    return replaced


@pytest.mark.slow
def test_every_stage_of_a_matrix_was_seen(called: dict[Identity, set[Function]]) -> None:
    assert {one.stage for one in called} == {*run.STAGES, "cell"} - {"spectrum"}
    assert min(map(len, called.values())) > 3


@pytest.mark.slow
def test_a_change_to_any_function_that_a_step_called_changes_its_key(
    called: dict[Identity, set[Function]], with_text: WithText
) -> None:
    before = {one: one.key() for one in called}
    unseen = []
    for module, name in sorted(set.union(*called.values())):
        with with_text(module, changed(text_of(module), name)):
            steps = [one for one, functions in called.items() if (module, name) in functions]
            unseen += [(one.stage, module, name) for one in steps if one.key() == before[one]]
    assert not unseen


@pytest.mark.slow
def test_what_only_people_read_changes_no_key(called: dict[Identity, set[Function]], with_text: WithText) -> None:
    before = {one: one.key() for one in called}
    for module in sorted({module for functions in called.values() for module, _ in functions}):
        tree = ast.parse(text_of(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                node.body[0] = ast.Expr(ast.Constant("Something else."))
        with with_text(module, "# a comment\n" + ast.unparse(tree)):
            assert {one: one.key() for one in called} == before


def keys_of(stage: str, module: str, old: str, new: str, with_text: WithText) -> tuple[object, object]:
    text = text_of(module)
    assert old in text
    root = f"benchkit.stages.run:make_{stage}"
    before = fingerprint.code_of(root)
    with with_text(module, text.replace(old, new)):
        return before, fingerprint.code_of(root)


@pytest.mark.parametrize(
    ("stage", "module", "old", "new"),
    [
        ("cell", "benchkit.protocol", "quantile(1 - ", "quantile(1 - 5 * "),
        ("cell", "benchkit.contracts.thresholds", "0 < rate < 1", "0 < rate < 2"),
        ("train", "benchkit.stages.scenes", '("attacker", purpose or method)', '("attacker", "", method)'),
        ("poison", "benchkit.stages.workspace", "train[victim_rows(train", "train[holdout_rows(train"),
        ("judge", "benchkit.stages.scenes", "labels != wanted", "labels == wanted"),
        ("judge", "benchkit.stages.predictions", "argmax(1)", "argmin(1)"),
        ("population", "benchkit.stages.ensembles", 'f"poison {number}', 'f"poisoned {number}'),
        ("poison", "benchkit.protocol", "torch.randperm(len(eligible)", "torch.randperm(1 * len(eligible)"),
        ("train", "benchkit.contracts.scene", "epochs=epochs", "epochs=2"),
        ("train", "benchkit.models.networks", "def forward(self", "def forward(self, *rest"),
        ("train", "benchkit.hashing", "[:15], 16)", "[:14], 16)"),
        ("prepare", "benchkit.protocol", "round(share", "int(share"),
        ("poison", "benchkit.protocol", "RESERVE = 0.05", "RESERVE = 0.06"),
    ],
)
def test_what_makes_a_number_is_in_the_key_of_its_stage(
    stage: str, module: str, old: str, new: str, with_text: WithText
) -> None:
    before, after = keys_of(stage, module, old, new, with_text)
    assert before != after


@pytest.mark.parametrize(
    ("stage", "module", "old", "new"),
    [
        ("train", "benchkit.measure.measure", "0.4", "0.5"),
        ("train", "benchkit.measure.rates", "0.01", "0.02"),
        ("prepare", "benchkit.protocol", "quantile(1 - ", "quantile(1 - 5 * "),
        ("prepare", "benchkit.training.muon", "orthogonalised(", "orthogonalized("),
        ("data", "benchkit.training.trainer", "0.01", "0.02"),
        ("cell", "benchkit.errors", "did you mean", "do you mean"),
        ("cell", "benchkit.records.record", "SCHEMA = 1", "SCHEMA = 2"),
    ],
)
def test_what_a_stage_does_not_run_makes_nothing_of_it_again(
    stage: str, module: str, old: str, new: str, with_text: WithText
) -> None:
    before, after = keys_of(stage, module, old, new, with_text)
    assert before == after


def test_a_plugin_counts_with_whatever_it_imports_from_plugins(with_text: WithText) -> None:
    wrapper, base = "benchkit_plugins.attacks.invisible", "benchkit_plugins.attacks.badnets"
    before = fingerprint.code_of(wrapper)
    with with_text(base, changed(text_of(base), "BadNets.stamp")):
        assert fingerprint.code_of(wrapper) != before


def test_a_plugin_counts_with_what_it_calls_of_the_harness(with_text: WithText) -> None:
    before = {name: fingerprint.code_of(f"benchkit_plugins.{name}") for name in ("defenses.strip", "defenses.abl")}
    text = text_of("benchkit.training.muon")
    with with_text("benchkit.training.muon", changed(text, "orthogonalised")):
        assert fingerprint.code_of("benchkit_plugins.defenses.abl") != before["defenses.abl"]  # it calls scene.fit
        assert fingerprint.code_of("benchkit_plugins.defenses.strip") == before["defenses.strip"]
