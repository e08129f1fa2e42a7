"""Run pytest while one place of the package's source reads otherwise.

``python -P tests/mutant.py MODULE BEFORE AFTER [options and tests of pytest]``; no file changes. Array libraries that
``ARRAYSEG_TEST_BACKENDS`` does not name cannot be imported.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from types import CodeType

import pytest

LIBRARIES = {"cupy", "jax", "torch"}


class MutantLoader(importlib.machinery.SourceFileLoader):
    """A loader that replaces a text, which must be in the source once."""

    before: str
    after: str

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname)
        assert source.count(self.before) == 1, f"{self.before!r} is in {self.path} {source.count(self.before)} times."
        return compile(source.replace(self.before, self.after), self.path, "exec")


class MutantFinder(importlib.abc.MetaPathFinder):
    """A finder of one module, with the mutant's loader."""

    def __init__(self, module: str, before: str, after: str):
        self.module, self.before, self.after = module, before, after

    def find_spec(self, fullname, path, target=None):
        if fullname != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        spec.loader = MutantLoader(fullname, spec.origin)
        spec.loader.before, spec.loader.after = self.before, self.after
        return spec


if __name__ == "__main__":
    hidden = LIBRARIES - set(os.environ["ARRAYSEG_TEST_BACKENDS"].split(","))
    sys.modules.update(dict.fromkeys(hidden))  # an import of these fails, and costs no time
    sys.meta_path.insert(0, MutantFinder(*sys.argv[1:4]))
    sys.exit(pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", *sys.argv[4:]]))
