"""Shared options: the types for static checkers name the fields of the dataclasses, and docstrings describe them."""

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

from arrayseg import losses
from arrayseg.losses import _options
from arrayseg.losses._options import CompoundOptions, LovaszOptions, PairOptions, PixelOptions, RegionOptions

FAMILIES = {
    "PairKeywords": PairOptions,
    "LovaszKeywords": LovaszOptions,
    "MeanKeywords": PixelOptions,
    "PixelKeywords": PixelOptions,
    "ActivatedPixelKeywords": PixelOptions,
    "JointKeywords": RegionOptions,
    "RegionKeywords": RegionOptions,
}


def test_every_keyword_type_has_its_family():
    assert {name for name in vars(_options) if name.endswith("Keywords")} == set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_keywords_are_fields_of_the_same_type(name):
    types = {each.name: each.type for each in fields(FAMILIES[name])}
    keywords = {key: hint.__forward_arg__ for key, hint in inspect.get_annotations(getattr(_options, name)).items()}
    assert keywords == {key: types[key] for key in keywords}


@pytest.mark.parametrize("family", [PixelOptions, RegionOptions])
def test_complete_keywords_name_every_field(family):
    complete = {PixelOptions: "ActivatedPixelKeywords", RegionOptions: "RegionKeywords"}[family]
    assert getattr(_options, complete).__optional_keys__ == {each.name for each in fields(family)}


@pytest.mark.parametrize("name", losses.__all__)
def test_docstrings_describe_every_parameter(name):
    loss = getattr(losses, name)
    if not hasattr(loss, "plan"):
        return
    described = inspect.getdoc(loss).partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    named = [line.partition(" : ")[0] for line in described.splitlines() if not line.startswith(" ")]
    assert sorted(named) == sorted(inspect.signature(loss).parameters)


def test_options_are_frozen_and_compare():
    options = RegionOptions(pool="batch")
    assert options == RegionOptions(pool="batch") != RegionOptions()
    with pytest.raises(FrozenInstanceError):
        options.pool = "image"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RegionOptions(pool="x"), "`pool` must be 'image', 'batch', 'micro' or 'all'; got x"),
        (lambda: PixelOptions(label_smoothing=1), "`label_smoothing` must be from 0 to just under 1; got 1"),
        (lambda: RegionOptions(pool="all", class_weights=[1.0]), "needs pool='image' or 'batch'"),
        (lambda: CompoundOptions(reduction="none"), "A compound is one number"),
    ],
)
def test_options_check_themselves(make, words):
    with pytest.raises(ValueError) as caught:
        make()
    assert words.replace("got x", "got 'x'") in str(caught.value)
