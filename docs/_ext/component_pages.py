"""One Markdown page for everything that has a name and parameters, from its class alone; knows nothing of Sphinx."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from benchkit.cli._listed import documented
from benchkit.cli.show import assumptions
from benchkit.components.wrapper import AttackWrapper
from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import Defense
from benchkit.contracts.kinds import ModelDetector
from benchkit.models.networks import NETS, Build
from benchkit.params.build import describe
from benchkit.params.component import fields_of, text
from benchkit.spec.installed import GROUP
from benchkit.spec.registry import load
from benchkit.training.recipes import RECIPES

CODE = re.compile(r"(?::\w+:)?(`+)(.+?)\1", re.DOTALL)
EMPHASIS = re.compile(r"\\\*(\w+)\\\*")
DATED = re.compile(r"\b(?:19|20)\d\d\b")
TITLED = re.compile(rf"(.*?{DATED.pattern}[^,]*, )(.+)")
"""The authors, venue and year of a paper, and its title."""
UNTITLED = re.compile(r"([a-z ]*)(.*)")
"""Words before the authors, and the rest."""
ARXIV = re.compile(r"\b(\d{4}\.\d{5})\b")
REMARK = re.compile(r"\s*\([^)]*\)")
SPECIAL = re.compile(r"([\\*_\[\]<>|{}$#~^])")
EMBEDDED = ((3, 32, 32), 10)
"""Shape and classes of the embedded images, on which commands to try run without a download."""
SIDES = (64, 128, 224)
KNOWN = " --dataset celeba --download"
"""Images with attributes, which the embedded ones have not."""
INTRODUCTIONS = {
    "attacks": "What poisons the training data or the training, and the benign rows without a trigger. Each page is "
    "made from the attack's own class: what it says of itself, its parameters and what it assumes.",
    "defenses": "Six kinds, told apart by what they see and when they act, and measured in six ways "
    "([the protocol](../../protocol.md)). The column `none` is the undefended victim.",
    "datasets": "`scenes` is embedded. The others are looked for in `--data-root`, else `$BENCHKIT_DATA`, else the "
    "user's cache folder, and are downloaded only with `--download`.",
    "recipes": "How victims are trained: `--recipe NAME:PARAMETER=VALUE`. On a CPU the default is `fast`, on a GPU "
    "`standard`.",
    "models": "Networks for small images that benchkit brings along. Any other name is timm's: `--model vgg16`.",
}


@dataclass(frozen=True)
class Page:
    """One page: its place below ``components``, a line for the list of its kind, and the two parts of its Markdown."""

    kind: str
    name: str
    summary: str
    label: str
    head: str
    body: str


def prose(docstring: str) -> str:
    """Return a docstring as Markdown: code stays as it is, and nothing else in it is markup."""
    done, parts = 0, []
    source = inspect.cleandoc(docstring)
    for code in CODE.finditer(source):
        parts += [_plain(source[done : code.start()]), f"`{' '.join(code[2].split())}`"]
        done = code.end()
    return "".join([*parts, _plain(source[done:])])


def _plain(words: str) -> str:
    return EMPHASIS.sub(r"*\1*", SPECIAL.sub(r"\\\1", words))


def cell(words: str) -> str:
    """Return text for a cell of a table."""
    return prose(words).replace("\n", " ")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _accepts(kind: str, bounds: str) -> str:
    if " | " in bounds:
        return ", ".join(f"`{choice}`" for choice in bounds.split(" | "))
    return f"{kind}, {_plain(bounds)}" if bounds else kind


def parameters(cls: type[Any]) -> str:
    """Return the table of a component's parameters, or a sentence where it has none."""
    rows = [
        (
            f"`{row['name']}`",
            f"`{text(row['default'])}`" if row["default"] != "" else "empty",
            _accepts(str(row["type"]), str(row["bounds"])),
            cell(str(row["help"])),
        )
        for row in describe(cls)
    ]
    return table(("parameter", "default", "accepts", "meaning"), rows) if rows else "It has no parameters."


def _command(component: Any) -> str:
    """Return a command line that puts a component to use."""
    if isinstance(component, Attack):
        name = component.name if _sides(component) else _spelled(type(component))
        return f"benchkit run --attacks {name} --defenses freq-detector{_images(component)}"
    if isinstance(component, ModelDetector):
        return f"benchkit run --attacks badnets --defenses {component.name} --population 8"
    if isinstance(component, Defense):
        defense = "" if component.name == "none" else f" --defenses {component.name}"
        return f"benchkit run --attacks badnets{defense}{_images(component)}"
    if isinstance(component, Dataset):
        return f"benchkit run --attacks badnets --defenses freq-detector --dataset {_named(type(component))}"
    return f"benchkit run --attacks badnets --recipe {component.name}"


def _images(component: Attack | Defense) -> str:
    """Return the dataset that a component needs, where the embedded one does not suit it."""
    if isinstance(component, Attack) and component.attributes():
        return KNOWN
    sides = _sides(component)
    if component.check(*EMBEDDED) is None or not sides:
        return ""
    return f" --dataset image-folder:root=PATH,size={sides[0]}"


def _sides(component: Attack | Defense) -> list[int]:
    """Return the sides of images that suit a component as it is; none for one that needs a file first."""
    return [side for side in SIDES if component.check((3, side, side), EMBEDDED[1]) is None]


def _named(cls: type[Dataset]) -> str:
    name = _spelled(cls)
    return f"{name} --download" if cls.fetch is not Dataset.fetch else name


def _spelled(cls: type[Any]) -> str:
    """Return the name of a component with the first text that it needs, such as a folder."""
    wanted = [name for name, (_, default, _) in fields_of(cls).items() if default == ""]
    return f"{cls.name}:{wanted[0]}=PATH" if wanted else cls.name


def _label(cls: type[Any]) -> str:
    """Return what a list of its kind says of a component, beside its first sentence."""
    if issubclass(cls, AttackWrapper):
        return "wraps another attack"
    if issubclass(cls, Attack):
        return "benign row" if cls.benign else f"{cls().label_policy} labels"
    return str(cls.kind) if issubclass(cls, Defense) else ""


def _assumed(cls: type[Any]) -> Iterator[str]:
    """Yield what a component takes for granted, as items of a list."""
    if line := assumptions(cls, cls()):
        head = "Threat model" if issubclass(cls, Attack) else "Assumes"
        yield f"**{head}**: {cell(line)}."
    if issubclass(cls, AttackWrapper):
        yield "**Wraps another attack** (`base`), whose threat model it shares; the one above is its default's."
    if issubclass(cls, Dataset):
        offers = "embedded, nothing is read from the disk" if cls.embedded else "read from the disk"
        yield f"**Images**: {offers}."


def _component(kind: str, cls: type[Any]) -> Page:
    known = [*_source(cls.paper), *_assumed(cls)]
    known += [f"**Class**: `{cls.__module__}.{cls.__qualname__}`."]
    head = [f"# {cls.name}", prose(cls.__doc__ or ""), "\n".join(f"- {item}" for item in known)]
    body = ["## Parameters", parameters(cls)]
    body += ["## Try it", f"```sh\n{_command(cls())}\nbenchkit show {cls.name}\n```"]
    first = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]
    return Page(kind, cls.name, cell(first), _label(cls), "\n\n".join(head), "\n\n".join(body))


def _source(paper: str) -> Iterator[str]:
    """Yield the item of a list that says where something is from, if that is known; papers are links, prose is not."""
    if paper:
        kind = "Paper" if DATED.search(paper) else "From"
        yield f"**{kind}**: {'; '.join(map(_linked, paper.split('; ')))}."


def _linked(paper: str) -> str:
    """Return a paper whose title, if it is there, leads to where it can be found; what has no year is none."""
    if not DATED.search(paper):
        return _plain(paper)
    found = TITLED.match(paper) or UNTITLED.match(paper)
    assert found is not None  # the latter matches any line
    who, title = found.groups()
    number, sought = ARXIV.search(paper), quote(REMARK.sub("", title))
    where = f"https://arxiv.org/abs/{number[1]}" if number else f"https://scholar.google.com/scholar?q={sought}"
    return f"{_plain(who)}[{_plain(title)}]({where})"


def _network(name: str, builder: Build) -> Page:
    net = builder(10, (3, 32, 32))
    weights = sum(weight.numel() for weight in net.parameters())
    described, paper = documented(builder)
    size = f"{weights:,} parameters for ten classes of 32 x 32 RGB images"
    command = f"benchkit run --attacks badnets --model {name}"
    known = [*_source(paper), f"**Size**: {size}.", f"**Class**: `{type(net).__module__}.{type(net).__qualname__}`."]
    head = "\n\n".join([f"# {name}", prose(described), "\n".join(f"- {item}" for item in known)])
    body = f"## Try it\n\n```sh\n{command}\n```"
    first = inspect.cleandoc(described).split("\n\n")[0]
    return Page("models", name, cell(first), f"{weights:,} parameters", head, body)


def pages() -> Iterator[Page]:
    """Yield the page of every built-in; what other distributions brought along has its documentation there.

    Raises:
        RuntimeError: when a built-in plugin does not load.
    """
    registry = load()
    if registry.problems:
        raise RuntimeError("; ".join(registry.problems))
    for kind in ("attacks", "defenses", "datasets"):
        entries = sorted(registry.kind(kind).items())
        yield from (_component(kind, entry.cls) for _, entry in entries if entry.plugin.dist == GROUP)
    yield from (_component("recipes", cls) for cls in RECIPES.values())
    yield from (_network(name, builder) for name, builder in NETS.items())


def listing(kind: str, found: list[Page]) -> str:
    """Return the page that lists a kind."""
    head = ("name", "what it does") if not any(page.label for page in found) else ("name", "what it is", "what it does")
    rows = [tuple(filter(None, (f"[{page.name}]({page.name}.md)", page.label, page.summary))) for page in found]
    names = "\n".join(page.name for page in found)
    toctree = f"```{{toctree}}\n:hidden:\n\n{names}\n```"
    return "\n\n".join([f"# {kind.capitalize()}", INTRODUCTIONS[kind], table(head, rows), toctree])
