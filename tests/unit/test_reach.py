"""Keys follow the code that a stage runs: what was seen to run in a toy matrix is what a key must notice."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from watched_steps import Function, Identity, Watch, changed, definition, text_of

from benchkit.execute.executors.worker import make_workspace, outcome_of
from benchkit.execute.resolve import CPU_DEFAULTS, DEFAULTS
from benchkit.plan import fingerprint, reach, source
from benchkit.plan.planner import plan
from benchkit.spec.installed import find
from benchkit.spec.registry import load
from benchkit.spec.spec import make
from benchkit.stages import run
from benchkit.stages.cell import make_cell

PLUGINS = [Path(__file__).parents[1] / name for name in ("toy.py", "fitter.py")]
OPTIONS: dict[str, str | bool] = {
    **DEFAULTS,
    **CPU_DEFAULTS,
    "attacks": "none,corner,wanet:k=2,troj-sq:steps=2,invisible:base=corner",
    "defenses": "brightest,shrink-pad,spectral-signatures,fine-tuning:epochs=1,abl:unlearn_epochs=1,head-mean,"
    "surprised,"
    "mna:models=4,recipe=fast:epochs=1,images=40,queries=2,epochs=1,repeats=1",
    "datasets": "toy:count=160",
    "recipe": "fast:epochs=1",
    "retune": True,
}
POPULATION: dict[str, str | bool] = {"attacks": "none,corner", "defenses": "loud", "population": "2", "retune": False}
WithTexts = Callable[[Mapping[str, str]], AbstractContextManager[None]]
WithText = Callable[[str, str], AbstractContextManager[None]]


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


@pytest.fixture
def with_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WithTexts:
    """Let modules have other texts, as far as fingerprints can see."""
    numbers, plain = itertools.count(), source.source

    @contextmanager
    def replaced(texts: Mapping[str, str]) -> Iterator[None]:
        paths = {module: tmp_path / f"{next(numbers)}.py" for module in texts}
        for module, path in paths.items():
            path.write_text(texts[module])
        with monkeypatch.context() as patch:
            for one in (source, reach):
                patch.setattr(one, "source", lambda name: paths.get(name) or plain(name))
            fingerprint._code_of.cache_clear()
            yield
        fingerprint._code_of.cache_clear()

    return replaced


@pytest.fixture
def with_text(with_texts: WithTexts) -> WithText:
    """Let one module have another text."""
    return lambda module, text: with_texts({module: text})


@pytest.mark.slow
def test_every_stage_of_a_matrix_was_seen(called: dict[Identity, set[Function]]) -> None:
    assert {one.stage for one in called} == {*run.STAGES, "cell"} - {"spectrum", "features"}
    assert min(map(len, called.values())) > 3


def reached_by(one: Identity, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the digests of all definitions that the key of a step is made of."""
    digests: set[str] = set()

    def watched(roots: tuple[str, ...]) -> frozenset[str]:
        found = reach.reached(roots)
        digests.update(found)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "reached", watched)
        fingerprint._code_of.cache_clear()
        one.key()
    return digests


@pytest.mark.slow
def test_a_change_to_any_function_that_a_step_called_changes_its_key(
    called: dict[Identity, set[Function]], with_text: WithText, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a digest of its text, and is among those of the key; that the key is theirs is seen at every tenth."""
    behind, before = (
        {one: of(one) for one in called} for of in (lambda one: reached_by(one, monkeypatch), Identity.key)
    )
    unseen = []
    for number, (module, name) in enumerate(sorted(set.union(*called.values()))):
        known = definition(module, name).digest
        steps = [one for one, functions in called.items() if (module, name) in functions]
        unseen += [(one.stage, module, name) for one in steps if known not in behind[one]]
        with with_text(module, changed(text_of(module), name)):
            assert definition(module, name).digest != known
            asked = steps if number % 10 == 0 else ()
            unseen += [(one.stage, module, name) for one in asked if one.key() == before[one]]
    assert not unseen


def with_other_words(module: str) -> str:
    """Return the text of a module with other docstrings, and a comment that it did not have."""
    tree = ast.parse(text_of(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            node.body[0] = ast.Expr(ast.Constant("Something else."))
    return "# a comment\n" + ast.unparse(tree)


@pytest.mark.slow
def test_what_only_people_read_changes_no_key(called: dict[Identity, set[Function]], with_texts: WithTexts) -> None:
    before = {one: one.key() for one in called}
    modules = sorted({module for functions in called.values() for module, _ in functions})
    with with_texts({module: with_other_words(module) for module in modules}):
        assert {one: one.key() for one in called} == before
        assert all(text_of(module).startswith("# a comment") for module in modules)


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
        ("score", "benchkit.protocol", "quantile(1 - ", "quantile(1 - 5 * "),
        ("score", "benchkit.contracts.thresholds", "0 < rate < 1", "0 < rate < 2"),
        ("train", "benchkit.stages.scenes", '("attacker", purpose or method)', '("attacker", "", method)'),
        ("poison", "benchkit.stages.workspace", "train[victim_rows(train", "train[holdout_rows(train"),
        ("judge", "benchkit.stages.scenes", "labels != wanted", "labels == wanted"),
        ("judge", "benchkit.stages.predictions", "argmax(1)", "argmin(1)"),
        ("population", "benchkit.stages.ensembles", 'f"poison {number}', 'f"poisoned {number}'),
        ("poison", "benchkit.protocol", "torch.randperm(len(eligible)", "torch.randperm(1 * len(eligible)"),
        ("train", "benchkit.contracts.scene", "Fit(start, epochs", "Fit(start, 2"),
        ("train", "benchkit.contracts.steering", "reduction=way", "reduction=None"),
        ("train", "benchkit.training.optimizers", "sam.rho / (", "2 * sam.rho / ("),
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
        ("train", "benchkit.measure.warned", "0.4", "0.5"),
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
