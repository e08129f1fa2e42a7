"""Sphinx configuration; `nox -s docs` builds the pages with every warning an error."""

import sys
import zlib
from pathlib import Path

from arrayseg import __version__

project = "arrayseg"
author = "The arrayseg developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = True

html_theme = "furo"
html_title = f"arrayseg {version}"
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # single backquotes are code in docstrings, as in the pages
autosummary_generate = True
autodoc_typehints = "none"  # the Parameters section says what a type cannot: shapes, units, meaning
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",
    "ES01",  # one line may say it all
    "GL01",  # the summary starts on the first line
    "GL02",  # and may end on it
    "PR03",  # *args and **kwargs share an entry
    "PR04",  # the signature may say the type
    "PR08",  # a description may begin with a formula
    "SA01",  # See Also where it helps
    "SS05",  # a quantity is named, not commanded
    "YD01",  # what a generator yields may stand under Returns or Yields
}
# A method of a small record needs only one line, and a constant has no docstring of its own.
numpydoc_validation_exclude = {r"\.[A-Z]\w*\.\w+$", r"\.[A-Z_]+$"}

# The prompt is not copied, nor is the output.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The pages point to few things outside, and a build must not depend on five sites being up: the inventories are made
# here, from these names alone.
OUTSIDE = {
    "numpy": ("https://numpy.org/doc/stable/", {"numpy.bincount": "reference/generated/numpy.bincount.html"}),
    "python": ("https://docs.python.org/3/", {"functools.partial": "library/functools.html#functools.partial"}),
    "torch": (
        "https://docs.pytorch.org/docs/stable/",
        {
            "torch.autograd.Function": "autograd.html#torch.autograd.Function",
            "torch.compile": "generated/torch.compile.html",
            "torch.nn.functional.cross_entropy": "generated/torch.nn.functional.cross_entropy.html",
        },
    ),
    "jax": (
        "https://docs.jax.dev/en/latest/",
        {
            "jax.custom_jvp": "_autosummary/jax.custom_jvp.html",
            "jax.grad": "_autosummary/jax.grad.html",
            "jax.jit": "_autosummary/jax.jit.html",
        },
    ),
}


def inventory(name: str, objects: dict[str, str]) -> str:
    """Write a Sphinx inventory of Python objects, and return its path."""
    path = Path(__file__).parent / "_build" / "inventories" / f"{name}.inv"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = (
        f"# Sphinx inventory version 2\n# Project: {name}\n# Version: \n# The remainder is compressed using zlib.\n"
    )
    lines = "".join(f"{target} py:function 1 {address} -\n" for target, address in objects.items())
    path.write_bytes(header.encode() + zlib.compress(lines.encode()))
    return str(path)


intersphinx_mapping = {name: (site, inventory(name, objects)) for name, (site, objects) in OUTSIDE.items()}

# Tables of docs/conventions.md, docs/compat.md and docs/compat_metrics.md; docs/benchmarks.md has others.
sys.path.insert(0, str(Path(__file__).parent))
from argument_table import argument_table  # noqa: E402
from benchmark_pages import parts, records  # noqa: E402
from benchmark_plots import draw  # noqa: E402
from compat_metric_tables import label_table, mask_table  # noqa: E402
from compat_tables import loss_tables  # noqa: E402

for part, text in {
    "arguments": argument_table(),
    "compat_losses": loss_tables(),
    "compat_masks": mask_table(),
    "compat_label_maps": label_table(),
}.items():
    (Path(__file__).parent / "_build" / f"{part}.md").write_text(text, encoding="utf-8")


def fill_benchmarks(app, docname: str, source: list[str]) -> None:
    """Put the recorded runs in the page that tells of them."""
    if docname == "benchmarks":
        runs = records()
        for comment, text in parts(runs, draw(runs, Path(__file__).parent / "_build" / "benchmarks")).items():
            source[0] = source[0].replace(comment, text)


def setup(app) -> None:
    """Let the page of the benchmarks be filled when it is read."""
    app.connect("source-read", fill_benchmarks)
