"""The docstrings of metrics and maps: every parameter has its type and default, no shared paragraph is missing."""

import inspect
import re

import pytest

from arrayseg import class_weights, distance_maps, metrics

PACKAGES = ("_confusion", "_probability", "_shape", "_segments", "_add", "_bootstrap", "class_weights", "distance_maps")
FUNCTIONS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
    for module in (metrics, class_weights, distance_maps)
    for name in module.__all__
    if any(package in getattr(module, name).__module__ for package in PACKAGES)
}


def described(function):
    """Return the type that the docstring gives for each parameter."""
    entries = re.findall(r"^\*?(\w+(?:, \*{0,2}\w+)*) : (.+)$", inspect.getdoc(function), re.MULTILINE)
    return {name.lstrip("*"): text for names, text in entries for name in names.split(", ")}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_has_its_type_and_default(name):
    types = described(FUNCTIONS[name])
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        text, default = types[parameter.name], parameter.default
        if default is parameter.empty or parameter.kind is parameter.VAR_POSITIONAL:
            assert "default" not in text
            assert "optional" not in text
        elif default is None:
            assert text.endswith(("optional", "default None"))
        else:
            shown = text.rpartition("default ")[2]
            assert shown in (str(default), f'"{default}"', f"{default:g}" if isinstance(default, float) else None)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_shared_paragraph_is_missing(name):
    assert not re.search(r"^\s*\{\w+\}$", inspect.getdoc(FUNCTIONS[name]), re.MULTILINE)


def uses(option):
    """Return the option as each metric that has it declares it."""
    functions = [getattr(metrics, name) for name in metrics.__all__ if inspect.isfunction(getattr(metrics, name))]
    signatures = [inspect.signature(function).parameters for function in functions]
    return [parameters[option] for parameters in signatures if option in parameters]


def test_absent_has_one_annotation_and_default():
    assert {(use.annotation, use.default, use.kind.name) for use in uses("absent")} == {
        ("AbsentScore", "skip", "KEYWORD_ONLY")
    }


def test_the_number_of_classes_is_named_in_the_call():
    assert {(use.annotation, use.kind.name) for use in uses("num_classes")} == {("int", "KEYWORD_ONLY")}
