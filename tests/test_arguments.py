"""An argument means one thing: one type and one default, or a reason next to it."""

from fnmatch import fnmatch

import pytest
from argument_table import REASONS, argument_table, reason_of, uses, usual

USES = uses()
DEPARTURES = [
    (argument, form, function)
    for argument, forms in USES.items()
    for form, functions in forms.items()
    if form != usual(forms)
    for function in functions
]


@pytest.mark.parametrize(("argument", "form", "function"), DEPARTURES)
def test_second_type_or_default_has_a_reason(argument, form, function):
    assert reason_of(argument, function), f"{function} has `{argument}: {form}`, others `{usual(USES[argument])}`"


def test_every_reason_is_of_a_departure():
    for argument, reasons in REASONS.items():
        departing = [function for name, _, function in DEPARTURES if name == argument]
        for patterns in reasons:
            for pattern in patterns.split():
                assert any(fnmatch(function, pattern) for function in departing), (argument, pattern)


def test_table_has_every_argument_that_many_functions_share():
    table = argument_table()
    shared = [argument for argument, forms in USES.items() if sum(map(len, forms.values())) > 50]
    assert all(f"| `{argument}` |" in table for argument in shared)
