"""The notes below a matrix: the meaning of numbers, assumptions, failures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from benchkit.records.doubts import LOST
from benchkit.records.metric import TOO_WIDE
from benchkit.records.metrics import NEEDED, by_chance, metric
from benchkit.records.record import Record, finite
from benchkit.report.cells import Cell, known_in, titles, varying
from benchkit.report.leading import LEAD, OF_THE_MODEL
from benchkit.report.tables import retuning
from benchkit.report.tables.document import ABSENT, GLYPHS, MEANING, WARNED, Entry
from benchkit.report.tables.particular import changed
from benchkit.text import printable

Notes = tuple[tuple[str, tuple[str, ...]], ...]
_NAMED = 6
NEVER = (
    f"never with a warning (except of crafting) or more than {100 * LOST:g} points of C-Acc below the undefended or "
    "the benign model, nor if no defense, guessing or the processing alone is as good"
)
SHARED = (
    "Defenses not clearly worse than the best are bold, too; none is if these are all of them, or if one of these may "
    "be no better than no defense"
)
MARGIN = (
    "clearly: by more than both half intervals together (root of their summed squares): ± or [low, high] if shown, "
    f"else the binomial interval over the test images, or {100 * LEAD:g} points if a record does not give their number"
)
PROTOCOL = {
    "ASR is over triggered test images of other classes than the target": ("asr", "asr_retuned"),
    "Thresholds come from the defender's own clean images": ("bdr", "bdr_net", "fpr", "fpr_control"),
}
"""What a caption says of the protocol, and beside which metrics."""
FEWER = "; (n=...) for fewer seeds"
NO_IMAGES = "holds no clean images"
_EVERY = ("target", "mapping")
"""Parameters of every attack that have no meaning for benign rows."""


def notes_of(cells: list[Cell], names: list[str], entries: list[Entry], most: int, by: list[str]) -> Notes:
    """Return the notes of a matrix whose best entries are chosen by the metrics ``by``; empty sections are omitted."""
    legend = _legend(cells, names) + _signs(cells, entries, by)
    if any(known_in(cells, name).percent for name in names):
        legend += populations(cells)
    notes = (
        ("Legend", (*legend, *changed(cells), *_seeds(entries, most))),
        (retuning.HEADING, retuning.retuned(cells)),
        ("Assumptions", assumptions(cells)),
        ("Failed, timed out or skipped", faults(cells)),
        ("Warnings", warnings(cells)),
    )
    return tuple((heading, lines) for heading, lines in notes if lines)


def captioned(names: Iterable[str], entries: list[Entry], most: int) -> tuple[str, ...]:
    """Return what a caption says of the numbers of a matrix with these metrics: its seeds and the protocol."""
    seeds = [line.removesuffix(FEWER) for line in _seeds(entries, most)]  # LaTeX has footnotes for these
    return (*seeds, *(said for said, over in PROTOCOL.items() if set(over) & set(names)))


def _legend(cells: list[Cell], names: list[str]) -> list[str]:
    """Return a line for each metric; if plugins declare several of one name, a line for each of these."""
    known = {name: [cell.known(name) for cell in cells if name in cell.declared] for name in names}
    return list(dict.fromkeys(one.legend() for name in names for one in known[name] or [metric(name)]))


def _signs(cells: list[Cell], entries: list[Entry], by: list[str]) -> list[str]:
    # An n/a may be one half of an entry, and one failed seed has a note below; the other signs are whole entries.
    texts = {entry.text for entry in entries} | fault_signs(cells)
    used = [sign for sign in MEANING if sign in texts or (sign == ABSENT and any(ABSENT in t for t in texts))]
    said = {
        ", ".join(f"{sign} {MEANING[sign]}" for sign in used): bool(used),
        **dict.fromkeys(leading(by, cells), True),
        f"{WARNED} carries a warning, see below": any(entry.warnings for entry in entries),
        f"± {TOO_WIDE}: an interval over half the scale; these seeds give no information": any(
            TOO_WIDE in t for t in texts
        ),
        "[low, high]: 95 % bootstrap interval over the models of the one seed, not over seeds": any(
            "[" in t for t in texts
        ),
    }
    return [line for line, shown in said.items() if shown]


def leading(by: list[str], cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return by which of these metrics an entry is bold, and among which others."""
    parts = [
        f"by {titles(cells, [name])} "
        + ("among all that change the model's predictions" if name in OF_THE_MODEL else "within its kind")
        for name in by
    ]
    return (f"Bold: best against that attack, {', '.join(parts)}; {NEVER}", f"{SHARED}; {MARGIN}") if by else ()


def fault_signs(cells: Iterable[Cell]) -> set[str]:
    """Return the signs that ``faults`` writes."""
    return {GLYPHS[record.status] for cell in cells for record in cell.records if record.status != "ok"}


def populations(cells: Iterable[Cell]) -> list[str]:
    """Return the number of models behind the numbers of model detectors, one line per number."""
    judged = [cell for cell in cells if cell.population and cell.ok]
    lines = []
    for size in sorted({cell.population for cell in judged}):
        names = dict.fromkeys(str(cell.axis("defense")) for cell in judged if cell.population == size)
        lines.append(f"{', '.join(names)}: {_models(size)}")
    return lines


def _models(size: int) -> str:
    if size > 1:
        return f"over {size} backdoored and {size} benign models per seed"
    alone = "over one backdoored and one benign model per seed: an AUROC is then 0, 50 or 100, without ±"
    return f"{alone}; benchkit run --population N judges N of each"


def _seeds(entries: list[Entry], most: int) -> list[str]:
    texts = " ".join(entry.text for entry in entries)
    return [seeds_line(most, "±" in texts)] if any(char.isdigit() for char in texts) else []


def seeds_line(most: int, intervals: bool = True) -> str:
    """Return the number of seeds behind a number, and the kind of its interval, if one is shown."""
    if most == 1:
        return "One seed; an interval is shown from three seeds on"
    interval = "± is its 95 % t-interval" if most >= 3 and intervals else "an interval is shown from three seeds on"
    return f"Mean over {most} seeds; {interval}{FEWER}"


def assumptions(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return what each attacker controls and what each defender holds, one line per component."""
    cells = list(cells)
    attacks = {_benign_line(cell) if cell.benign else _attack_line(cell) for cell in cells}
    defenses = {line for cell in cells if not cell.baseline for line in _defense_lines(cell)}
    return (*sorted(attacks - {""}), *sorted(defenses))


def _attack_line(cell: Cell) -> str:
    info = {name: value for record in cell.records for name, value in record.attack_info.items()}
    words = (("access", "access"), ("label_policy", "label"))
    said = [f"{printable(str(info[name]))} {word}" for name, word in words if info.get(name)]
    return f"{cell.axis('attack')}: attacker with {', '.join(said)}" if said else ""


def _benign_line(cell: Cell) -> str:
    """Return how a benign row changes images: its parameters that are set, or its defaults; empty without any."""
    found = {name: value for record in cell.records for name, value in _params(record).items()}
    own = {name: value for name, value in found.items() if name not in _EVERY}
    told = ", ".join(f"{printable(str(name))}{_amount(value)}" for name, value in own.items() if value)
    name = cell.axis("attack")
    defaults = f"its defaults, see benchkit show {str(name).partition(':')[0]}"
    return f"{name}: no attack; test images are processed ({told or defaults})" if own else ""


def _amount(value: object) -> str:
    return "" if value is True else f" {printable(str(value))}"


def _params(record: Record) -> dict[str, object]:
    params = record.attack_info.get("params")
    return params if isinstance(params, dict) else {}


def _defense_lines(cell: Cell) -> set[str]:
    return {
        f"{cell.axis('defense')}: {'; '.join(said)}"
        for record in cell.records
        if (said := _defense_said(record.defense_info))
    }


def _defense_said(info: Mapping[str, object]) -> list[str]:
    said = [", ".join(printable(str(info[name])) for name in ("kind", "stage") if info.get(name))]
    share = info.get("clean")
    if isinstance(share, int | float):
        bare = ", without labels" if info.get("labelled") is False else ""
        said.append(f"holds clean images worth {100 * share:g} % of the training set{bare}" if share else NO_IMAGES)
    if info.get("overlap") is True:
        said.append("sees victim training images")
    needs = info.get("needs")
    said += [f"needs {words}" for name, words in NEEDED.items() if isinstance(needs, list) and name in needs]
    rate, classes = info.get("false_alarms_by_chance"), info.get("classes")
    if finite(rate) and finite(classes):
        said.append(by_chance(rate, int(classes)))
    return [words for words in said if words]


def faults(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return each distinct error once, with its cells."""
    cells = list(cells)
    axes = varying(cells)
    met: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cell in cells:
        for record in cell.records:
            if record.status != "ok":
                met[record.status, record.error or "no reason recorded"].append(
                    f"{_where(cell, axes)} seed {record.seed}"
                )
    return tuple(f"{GLYPHS[status]} {error} [{some(places)}]" for (status, error), places in sorted(met.items()))


def warnings(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return each distinct warning once, with the number of its records, or its cells."""
    cells = list(cells)
    axes = varying(cells)
    counts = Counter(text for cell in cells for record in cell.records for text in set(record.warnings))
    others: dict[str, list[str]] = defaultdict(list)
    for cell in cells:
        for text in cell.warnings() - counts.keys():
            others[text].append(_where(cell, axes))
    return (
        *(f"{text} ({count} record{'s' * (count > 1)})" for text, count in sorted(counts.items())),
        *(f"{text} [{some(places)}]" for text, places in sorted(others.items())),
    )


def _where(cell: Cell, axes: list[str]) -> str:
    more = [cell.label(axis) for axis in axes if axis not in ("attack", "defense")]
    return " ".join([f"{cell.axis('attack')} x {cell.axis('defense')}", *more])


def some(places: list[str]) -> str:
    """Return the first of these and the number of the others."""
    rest = len(places) - _NAMED
    return "; ".join(places[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")
