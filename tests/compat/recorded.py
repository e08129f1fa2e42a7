"""The numbers that peers returned for the reference batch, read from the folder `records`.

A file has the name of a module of `arrayseg.compat`. By the name of the preset, it lists calls of the peer: the peer's
options, the form of the batch ("ids" if not given, see `forms.py`), the number, and, if the number was written down
with few digits, within what it holds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from arrayseg import compat

FOLDER = Path(__file__).parent / "records"


class Record(NamedTuple):
    """A call of a peer, and what it returned for the reference batch."""

    module: str
    name: str
    number: float
    options: Mapping[str, Any] = MappingProxyType({})
    batch: str = "ids"
    within: float = 6e-7

    @property
    def preset(self):
        return getattr(getattr(compat, self.module), self.name)


def read_records():
    """Every record, by module and preset."""
    for path in sorted(FOLDER.glob("*.json")):
        for name, calls in json.loads(path.read_text(encoding="utf-8")).items():
            for call in calls:
                yield Record(path.stem, name, **call)


RECORDS = list(read_records())


def recorded(module, name, form="ids", /, **options):
    """The number of one recorded call."""
    call = (module, name, form, options)
    (number,) = [each.number for each in RECORDS if (each.module, each.name, each.batch, each.options) == call]
    return number
