"""Component strings, seeds, rates and suite files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchkit.components.baseline import NoDefense
from benchkit.errors import SpecError
from benchkit.params.grammar import pieces, seeds
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import component, components, make, models, poison_rates, recipe
from benchkit.spec.suite import read_suite

OPTIONS: dict[str, str | bool] = {
    "attacks": "badnets",
    "defenses": "strip",
    "datasets": "scenes",
    "models": "narrownet",
    "seeds": "2",
    "poison_rate": "0.1",
    "recipe": "fast",
    "victims": True,
    "population": "0",
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def test_a_piece_with_an_equals_sign_continues_the_component_before_it() -> None:
    assert pieces("badnets,badnets:size=5,target=3,blend") == [
        ("badnets", {}),
        ("badnets", {"size": "5", "target": "3"}),
        ("blend", {}),
    ]


def test_a_value_may_hold_a_colon() -> None:
    assert pieces("image-folder:root=/a:b,size=8") == [("image-folder", {"root": "/a:b", "size": "8"})]


def test_a_value_in_quotes_may_hold_whatever_separates() -> None:
    assert pieces('a:p="x,y",q= "" , b:"=1,c:p="say ""hi"", twice",d') == [
        ("a", {"p": "x,y", "q": ""}), ("b", {'"': "1"}), ("c", {"p": 'say "hi", twice'}), ("d", {}),
    ]  # fmt: skip
    assert pieces('a:p=5" wide,b') == [("a", {"p": '5" wide'}), ("b", {})]


def test_a_path_with_a_comma_can_be_written_everywhere(tmp_path: Path, registry: Registry) -> None:
    text = 'image-folder:root="x,y",size=16'
    (found,) = components(text, "datasets", registry)
    assert (found.root, str(found)) == ("x,y", text)
    file = tmp_path / "suite.toml"
    file.write_text(f"datasets = ['{text}', 'scenes']\n")
    spec = make({**OPTIONS, **read_suite(file)}, registry)
    assert [str(one) for one in spec.datasets] == [text, "scenes"]
    inner = component('freq-detector:train_on="image-folder:root=""x,y"",size=16"', "defenses", registry)
    assert inner.train_on == text
    assert component(str(inner), "defenses", registry) == inner


@pytest.mark.parametrize(
    "text", ['image-folder:root="x', 'image-folder:root="x,y', 'image-folder:root="x"y', 'image-folder:root="']
)
def test_a_quote_that_is_not_closed_says_how_to_close_it(registry: Registry, text: str) -> None:
    with pytest.raises(SpecError, match=r'is not closed: write root="..."'):
        components(text, "datasets", registry)


def test_the_rest_of_an_unquoted_value_says_how_to_quote_it(registry: Registry) -> None:
    with pytest.raises(SpecError, match=r"no dataset called 'y'.* quote that: root=.x,y."):
        components("image-folder:root=x,y", "datasets", registry)
    with pytest.raises(SpecError, match=r'more than one dataset.* quote that: root="x,y"'):
        component("image-folder:root=x,y", "datasets", registry)


@pytest.mark.parametrize("text", ["", "a,,b", "size=3", "a:", "a:b=", "a:=b", ":b=1", "a,", 'a:=""'])
def test_malformed_strings_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        pieces(text)


def test_minus_takes_away_what_has_the_parameters_it_names(registry: Registry) -> None:
    asked = "blend,badnets,badnets:size=5,badnets:size=5,target=3"
    taken = {"": ["blend"], ":size=5": ["badnets", "blend"], ":target=3": ["badnets", "badnets:size=5", "blend"]}
    for stated, left in taken.items():
        assert sorted(map(str, components(f"{asked},-badnets{stated}", "attacks", registry))) == left


@pytest.mark.parametrize(
    ("text", "words"),
    [("all,-all", "takes everything away"), ("badnets:size=4,size=5", "badnets is given size twice")],
)
def test_contradictions_are_refused(registry: Registry, text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        components(text, "attacks", registry)


def test_all_and_all_minus_some(registry: Registry) -> None:
    every = {str(one) for one in components("all", "attacks", registry)}
    fewer = {str(one) for one in components("all,-wanet,badnets:size=5", "attacks", registry)}
    assert {"none", "badnets", "wanet"} <= every
    assert fewer == every - {"wanet"} | {"badnets:size=5"}


def test_unknown_names_suggest(registry: Registry) -> None:
    with pytest.raises(SpecError, match=r"no attack called 'badnet' \(did you mean 'badnets'\?\)"):
        components("badnet", "attacks", registry)
    with pytest.raises(SpecError, match="no attack called 'zzz'"):
        components("all,-zzz", "attacks", registry)
    with pytest.raises(SpecError, match="more than one"):
        component("badnets,blend", "attacks", registry)


def test_seeds_are_a_count_or_a_list() -> None:
    assert seeds("3") == (0, 1, 2)
    assert seeds("0,5,7") == (0, 5, 7)
    assert seeds("5,") == (5,)
    for wrong in ("x", "-1", "0", "1.5", "", "\u00b2", "\u0663"):
        with pytest.raises(SpecError):
            seeds(wrong)
    assert seeds("3000000000,") == (3_000_000_000,)
    with pytest.raises(SpecError, match="write '3000000000,'"):
        seeds("3000000000")


def test_models_are_named_one_by_one_and_take_no_parameters() -> None:
    assert models("narrownet, vgg16,narrownet") == ("narrownet", "vgg16")
    for wrong, words in (("narrownet:width=8", "write narrownet alone"), ("all,-vgg16", "'all'"), ("a,-b", "'-b'")):
        with pytest.raises(SpecError, match=words):
            models(wrong)


def test_poison_rates_are_shares() -> None:
    assert poison_rates("0.1,0.01,0.1") == (0.1, 0.01)
    for wrong in ("0", "1", "10", "x", ""):
        with pytest.raises(SpecError):
            poison_rates(wrong)


def test_recipes_take_parameters() -> None:
    assert recipe("fast:epochs=20").epochs == 20
    with pytest.raises(SpecError, match="did you mean 'standard'"):
        recipe("standart")


def test_the_no_defense_column_comes_with_victims(registry: Registry) -> None:
    assert NoDefense() in make(OPTIONS, registry).defenses
    without = make({**OPTIONS, "victims": False, "defenses": "none,strip"}, registry)
    assert [one.name for one in without.defenses] == ["strip"]


@pytest.mark.parametrize(
    ("attacks", "left"), [("all", True), ("all,badnets:size=5", True), ("all,badnets", False), ("badnets", False)]
)
def test_what_only_all_names_may_be_left_out_whatever_variants_are_named(
    registry: Registry, attacks: str, left: bool
) -> None:
    spec = make({**OPTIONS, "attacks": attacks}, registry)
    assert (component("badnets", "attacks", registry) in spec.optional) is left
    assert not {str(one) for one in spec.optional} & {"badnets:size=5", "strip"}


def test_a_suite_says_the_same_as_options(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "suite.toml"
    file.write_text('attacks = ["badnets", "blend:alpha=0.3"]\ndefenses = "strip"\nseeds = [0, 5]\nvictims = false\n')
    spec = make({**OPTIONS, **read_suite(file)}, registry)
    assert [str(one) for one in spec.attacks] == ["badnets", "blend:alpha=0.3"]
    assert (spec.seeds, spec.victims) == ((0, 5), False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("attacks = ", "cannot be read"),
        ("atacks = 'all'", "did you mean 'attacks'"),
        ("attacks = {a = 1}", "must be text"),
        ("victims = 'yes'", "true or false"),
        ("seeds = true", "must be text"),
        ("attacks = [['a']]", "must be text"),
    ],
)
def test_a_malformed_suite_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_suite(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_suite_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no suite file"):
        read_suite(tmp_path / "none.toml")
