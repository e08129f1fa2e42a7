"""Adapters: which arrays they are found for, and the primitives that libraries disagree on."""

import importlib
import inspect
import math
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from arrayseg.backends import Backend, backend_of, names
from arrayseg.backends.labels import equals, holds
from arrayseg.losses import cross_entropy
from arrayseg.testing import to_numpy

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_equal_a_number_exactly(library, dtype):
    limits = np.iinfo(dtype)
    values = np.array([0, 1, limits.max, limits.max - 2, limits.min], dtype=dtype)
    labels, backend = library.asarray(values), backend_of(library.asarray(values))
    for number in (*values.tolist(), -1, -3, 255, 2**63, 2**64 - 1, 2**64 - 3, 2**70, -(2**70)):
        expected = [value == number for value in values.tolist()]  # of Python numbers, which do not wrap
        assert to_numpy(equals(backend, labels, number)).tolist() == expected, number
        assert holds(backend, labels, number) == (limits.min <= number <= limits.max)


def test_booleans_equal_0_or_1(library):
    labels = library.asarray(np.array([True, False]))
    backend = backend_of(labels)
    found = {number: to_numpy(equals(backend, labels, number)).tolist() for number in (-1, 0, 1, 255)}
    assert found == {-1: [False, False], 0: [False, True], 1: [True, False], 255: [False, False]}


class Tagged(np.ndarray):
    """An array with attributes of its own, as readers of images return it."""

    tag = "from a file"


class Doubled(np.ndarray):
    """An array with an arithmetic of its own, as those with units have."""

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ma.masked_array([1, 2], [True, False]), r"`target` is a masked array.*\.data.*mask=~numpy\.ma"),
        (np.ones((1, 2)).view(np.matrix), r"numpy\.matrix.* numpy\.asarray\(target\)\."),
        (np.ones(2).view(Doubled), r"Doubled, whose operations may differ.* numpy\.asarray\(target\)\."),
        (np.rec.array([(1, 2.0)]), r"recarray, whose operations may differ"),
        (np.dtype("int64"), "must be an array; got numpy.dtypes.Int64DType"),
        ([[1, 2]], r"got list\. Convert it first, for example with numpy\.asarray\(target\)\."),
        (3, r"got int\. "),
        ("mask.png", r"got str\. "),
        (None, r"got None\.$"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_is_no_plain_array_is_refused_with_the_conversion(array, message):
    with pytest.raises(TypeError, match=message):
        backend_of(array, "target")


@pytest.mark.parametrize(
    ("module", "make", "conversion"),
    [
        ("PIL.Image", lambda image: image.new("L", (2, 2)), "numpy.asarray(target)"),
        ("scipy.sparse", lambda sparse: sparse.eye_array(3), "target.toarray()"),
        ("pandas", lambda pandas: pandas.DataFrame([[1, 2]]), "target.to_numpy()"),
        ("nibabel", lambda nib: nib.Nifti1Image(np.ones((2, 2, 2)), np.eye(4)), "numpy.asarray(target.dataobj)"),
        ("SimpleITK", lambda sitk: sitk.Image(2, 2, sitk.sitkUInt8), "SimpleITK.GetArrayFromImage(target)"),
        ("jax.experimental.sparse", lambda sparse: sparse.eye(3), "target.todense()"),
        ("torch", lambda torch: torch.eye(3).to_sparse(), "target.to_dense()"),
        ("torch", lambda torch: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "to_padded_tensor(target"),
        ("torch", lambda torch: torch.masked.masked_tensor(torch.ones(2), torch.ones(2) > 0), "target.get_data()"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_objects_of_other_packages_name_their_conversion(module, make, conversion):
    array = make(pytest.importorskip(module))
    with pytest.raises(TypeError) as caught:
        backend_of(array, "target")
    assert conversion in str(caught.value)


def test_memory_maps_and_arrays_with_attributes_are_plain(tmp_path):
    mapped = np.memmap(tmp_path / "ids", dtype=np.uint8, shape=(2, 3), mode="w+")
    for array in (mapped, np.ones((2, 3)).view(Tagged), np.float32(1)):
        backend = backend_of(array)
        assert backend.name == "NumPy"
        assert type(backend.unwrap(array)) in (np.ndarray, np.float32)
    assert np.shares_memory(backend_of(mapped).unwrap(mapped), mapped)


def test_torch_subclasses_with_metadata_have_values_and_tracing_ones_have_not():
    torch = pytest.importorskip("torch")
    from torch._subclasses.fake_tensor import FakeTensorMode

    class Meta(torch.Tensor):
        pass

    backend = backend_of(torch.ones(2))
    tagged = torch.ones(2).as_subclass(Meta).requires_grad_()
    plain = backend.unwrap(tagged)
    assert backend_of(tagged) is backend
    assert backend.is_concrete(tagged, torch.nn.Parameter(torch.ones(2)))
    assert type(plain) is torch.Tensor
    assert type(torch.autograd.grad((3 * plain).sum(), tagged)[0]) in (Meta, torch.Tensor)
    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.ones(2))
    for traced in (fake, torch.ones(2, device="meta")):
        assert not backend.is_concrete(traced)
        assert backend.unwrap(traced) is traced


def test_torch_wrappers_that_dispatch_by_themselves_are_computed():
    torch = pytest.importorskip("torch")
    from torch.testing._internal.two_tensor import TwoTensor

    logits = torch.tensor([[[[0.0, 2.0]], [[0.0, 0.0]], [[0.0, -1.0]]]])
    ids = torch.tensor([[[0, 2]]])
    normalizer = math.exp(2) + 1 + math.exp(-1)
    wrapped = TwoTensor(logits, logits).requires_grad_()
    loss = cross_entropy(wrapped, TwoTensor(ids, ids))
    (gradient,) = torch.autograd.grad(loss, wrapped)
    assert math.isclose(loss.item(), (math.log(3) + math.log(normalizer) + 1) / 2, rel_tol=1e-6)
    assert math.isclose(gradient[0, 2, 0, 1].item(), (math.exp(-1) / normalizer - 1) / 2, rel_tol=1e-6)


# Adapters keep the signatures of the base class, and one list names them all.

ADAPTERS = {"numpy": "NUMPY", "torch": "TORCH", "jax": "JAX", "cupy": "CUPY", "dask": "DASK"}
PARTS = ("functions", "blocks", "counts", "sorting", "masks")


def methods_of(kind):
    """Return the signatures of the public methods of a class."""
    functions = inspect.getmembers(kind, inspect.isfunction)
    return {name: list(inspect.signature(each).parameters) for name, each in functions if not name.startswith("_")}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_keep_the_signatures(name):
    if name != "numpy":
        pytest.importorskip(name)
    adapter = getattr(importlib.import_module(f"arrayseg.backends.{name}"), ADAPTERS[name])
    base = Backend(adapter.xp)
    for one, other in [(adapter, base), *((getattr(adapter, part), getattr(base, part)) for part in PARTS)]:
        expected = methods_of(type(other))
        assert {name: each for name, each in methods_of(type(one)).items() if name in expected} == expected


def test_the_base_class_is_small():
    assert len(methods_of(Backend)) <= 24


def test_one_list_names_the_backends():
    from arrayseg.evaluation.placement import BackendName
    from arrayseg.testing import _backends

    assert tuple(_backends._MAKERS) == names.BACKENDS
    assert tuple(BackendName) == names.CHOICES


ROOT = Path(__file__).parent.parent

ADAPTER = """
import array_api_strict

from arrayseg.backends.base import Backend
from arrayseg.backends.sorting import Sorting


class ExampleSorting(Sorting):
    def argsort_descending(self, array, /):
        print("sorts")
        return super().argsort_descending(array)


class ExampleBackend(Backend):
    def __init__(self):
        super().__init__(array_api_strict)
        self.name = "Example"
        self.sorting = ExampleSorting(self)


EXAMPLE = ExampleBackend()
"""
# What `docs/add_a_backend.md` asks for, in each file: the line before, and what to add after it.
EXAMPLE = {
    "arrayseg/backends/example.py": ("", ADAPTER),
    "arrayseg/backends/registry.py": (
        "        from arrayseg.backends.jax import JAX as backend\n",
        '    elif "array_api_strict" in owners:\n        from arrayseg.backends.example import EXAMPLE as backend\n',
    ),
    "arrayseg/backends/names.py": ("LIBRARIES = {", '"example": ("array-api-strict",), '),
    "arrayseg/testing/_backends.py": (
        "_MAKERS: dict[str, Callable[[], Library | None]] = {\n",
        '    "example": lambda: Library("example", __import__("array_api_strict"), None, ("float64", "float32")),\n',
    ),
    "arrayseg/evaluation/placement.py": (
        '    """The libraries that can count pixels."""\n',
        '\n    EXAMPLE = "example"\n',
    ),
}


def test_a_backend_is_added_by_the_steps_of_its_page(tmp_path):
    pytest.importorskip("array_api_strict")
    page = (ROOT / "docs" / "add_a_backend.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\d\. .*?in `([\w/.]+)`", page, re.MULTILINE)
    assert [step.replace("NAME", "example") for step in steps] == list(EXAMPLE)
    assert "takes five files" in page
    assert len(EXAMPLE) == 5
    shutil.copytree(ROOT / "arrayseg", tmp_path / "arrayseg", ignore=shutil.ignore_patterns("__pycache__"))
    for path, (line, added) in EXAMPLE.items():
        file = tmp_path / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        assert line in text
        file.write_text(text.replace(line, line + added, 1), encoding="utf-8")
    code = """
        import numpy as np, pathlib, sys
        from arrayseg import losses
        from arrayseg.backends import backend_of, names
        from arrayseg.evaluation.placement import BackendName
        from arrayseg.testing import _backends, installed

        example = installed(["example"])["example"]
        logits, ids = np.random.default_rng(0).normal(size=(1, 2, 4, 4)), np.eye(4, dtype=int)[None] % 2
        loss = losses.lovasz_softmax(example.asarray(logits), example.asarray(ids))
        assert backend_of(loss).name == "Example"
        assert abs(float(loss) - float(losses.lovasz_softmax(logits, ids))) < 1e-12
        assert list(_backends._MAKERS) == list(names.BACKENDS)
        assert list(BackendName) == list(names.CHOICES)
        """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.stderr == ""
    assert "sorts" in done.stdout
