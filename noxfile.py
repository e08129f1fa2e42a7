"""The test matrix: ``pip install nox && nox`` runs the default sessions, which need no GPU; ``nox -l`` lists all."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml("pyproject.toml")["project"]
CONSTRAINTS = "tests/constraints.txt"
PYTEST = ("pytest", "pytest-xdist", "hypothesis")
# Dask is tested with chunks of NumPy arrays. The session `bare` runs without it.
DASK = ("dask", "distributed")
# Requirements of each backend in addition to NumPy. CuPy is installed only if there is a GPU (see `tests`).
LIBRARIES = runpy.run_path(str(ROOT / "arrayseg/backends/names.py"))["LIBRARIES"] | {"numpy": DASK}
PEERS = ("keras", "kornia", "monai", "optax", "pycocotools", "scikit-image", "scikit-learn", "torchmetrics")
# Peers that are installed without their dependencies. The parts that the tests compare need few of them, and some peers
# pin older releases of NumPy or torchvision than they work with. PANOPTICA lists what panoptica imports.
BARE_PEERS = ("medpy", "panoptica", "segmentation-models-pytorch", "surface-distance")
PANOPTICA = ("pandas", "plotly", "ruamel.yaml", "SimpleITK")
# Selects the tests that run in the session of a single backend. Other sessions run the rest.
ELSEWHERE = "not (parity or compile or compat or mutation or gpu)"


def install(session: nox.Session, *requirements: str) -> None:
    """Install requirements at the tested versions."""
    session.install("-c", CONSTRAINTS, *requirements)


def run_tests(session: nox.Session, *arguments: str, backends: str = "", python: str = "python") -> None:
    """Run pytest on two processes, each with one thread per array library."""
    environment = {"OMP_NUM_THREADS": "1"} | ({"ARRAYSEG_TEST_BACKENDS": backends} if backends else {})
    command = (python, "-P", "-m", "pytest", "--color=no", "-n", "2", *arguments, *session.posargs)
    session.run(*command, env=environment, external=python != "python")


def frameworks(session: nox.Session, *requirements: str) -> str:
    """Return the interpreter of an environment with every CPU backend.

    Several sessions share the environment, because its installation takes minutes.
    """
    folder = Path(session.cache_dir).parent / "frameworks"
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not Path(python).exists():
        session.run(sys.executable, "-m", "virtualenv", "-q", str(folder), external=True)
    packages = (".[all]", "array-api-strict", "scikit-learn", *DASK, *PYTEST, *requirements)
    session.run(python, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, *packages, external=True)
    return python


def peers(session: nox.Session) -> str:
    """Install the peers into the environment of `frameworks` and return its interpreter."""
    python = frameworks(session, *PEERS, *PANOPTICA)
    session.run(python, "-m", "pip", "install", "-q", "--no-deps", "-c", CONSTRAINTS, *BARE_PEERS, external=True)
    return python


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy in strict mode. The result is the same with and without installed frameworks."""
    install(session, "mypy", "numpy", "typer", "rich", "Pillow")
    session.run("mypy")


@nox.session
def bare(session: nox.Session) -> None:
    """Check that the package with only its runtime dependencies works, imports fast and imports no framework."""
    install(session, ".")
    session.run("python", "-P", "tests/bare.py")


@nox.session
def demo(session: nox.Session) -> None:
    """Run the first command of the README."""
    install(session, ".[app]")
    session.run("arrayseg", "demo")


@nox.session
def build(session: nox.Session) -> None:
    """Build the source distribution and the wheel, and test the wheel with only its runtime dependencies."""
    install(session, "build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", env={"PIP_CONSTRAINT": str(ROOT / CONSTRAINTS)})
    (wheel,) = Path("dist").glob("*.whl")
    session.run("python", "-m", "pip", "uninstall", "-q", "-y", "arrayseg")
    install(session, str(wheel))
    session.run("python", "-P", "tests/bare.py")


@nox.session
@nox.parametrize("backend", list(LIBRARIES))
def tests(session: nox.Session, backend: str) -> None:
    """Test one backend in an environment without the other frameworks."""
    libraries = LIBRARIES[backend] or cupy_requirements()
    if not libraries:
        session.skip("not run: no CUDA device")
    # The command line must run with NumPy alone, so it is tested in that session.
    install(session, ".[app]" if backend == "numpy" else ".", *libraries, *PYTEST)
    run_tests(session, "-m", ELSEWHERE, backends=backend)


def cupy_requirements() -> tuple[str, ...]:
    """Return the CuPy package for the CUDA version of the driver, or nothing if there is no device."""
    if shutil.which("nvidia-smi") is None:
        return ()
    answer = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False).stdout
    version = answer.partition("CUDA Version:")[2].strip().partition(".")[0]
    return (f"cupy-cuda{version}x",) if version in {"12", "13"} else ()


@nox.session(venv_backend="none")
def parity(session: nox.Session) -> None:
    """Check that all CPU backends agree, and that the tests detect deliberately wrong formulas and adapters."""
    python = frameworks(session)
    run_tests(session, "-m", "(parity or mutation) and not gpu", python=python)


@nox.session(venv_backend="none")
def compile(session: nox.Session) -> None:
    """Test under `torch.compile(fullgraph=True)` and `jax.jit`."""
    python = frameworks(session)
    run_tests(session, "-m", "compile and not gpu", python=python)


@nox.session(venv_backend="none")
def compat(session: nox.Session) -> None:
    """Compare the presets with the numbers of the installed peers."""
    python = peers(session)
    run_tests(session, "-m", "compat and not gpu", python=python)


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """Test the newest releases of NumPy, PyTorch and JAX, including pre-releases, without tests/constraints.txt."""
    libraries = ("numpy", "array-api-compat", "array-api-extra", "array-api-strict", "torch", "jax")
    session.install("--upgrade", "--pre", ".[all]", *libraries, *DASK, *PYTEST)
    run_tests(session, "-m", "not (compat or gpu)")


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Measure the share of lines and branches that the tests reach with NumPy alone."""
    install(session, "-e", ".[app]", *DASK, *PYTEST, "pytest-cov")
    run_tests(session, "-m", ELSEWHERE, "--cov", "--cov-report=term", backends="numpy")


def lowest(session: nox.Session, *extras: str) -> None:
    """Install the package and some extras, with the lowest dependency versions that pyproject.toml allows."""
    named = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    floors = Path(session.create_tmp()) / "lowest.txt"
    floors.write_text("\n".join(line.replace(">=", "==") for lines in named for line in lines), encoding="utf-8")
    session.install("-c", str(floors), f".[{','.join(extras)}]", *PYTEST)


@nox.session
def minimums(session: nox.Session) -> None:
    """Test the lowest versions of all dependencies except PyTorch and CuPy."""
    lowest(session, "app", "geometry", "jax")
    run_tests(session, "-m", ELSEWHERE, backends="numpy")
    run_tests(session, "tests/losses/test_multi_scale.py", "tests/metrics/test_parity.py", backends="jax")


@nox.session(default=False)
def minimums_torch(session: nox.Session) -> None:
    """Test the lowest version of PyTorch, which installs gigabytes of CUDA libraries."""
    lowest(session, "torch")
    run_tests(session, "-m", ELSEWHERE, backends="torch")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages with warnings as errors, check public docstrings, and run all examples and figures."""
    tools = ("sphinx", "myst-parser", "furo", "numpydoc", "sphinx-copybutton", "matplotlib")
    install(session, "-e", ".[app]", *tools, *PYTEST)
    shutil.rmtree("docs/generated", ignore_errors=True)  # it may hold pages of names that are gone
    session.run("sphinx-build", "-n", "-W", "--keep-going", "-q", "-E", "-b", "html", "docs", "docs/_build/html")
    run_tests(
        session,
        "--doctest-modules",
        "--doctest-ignore-import-errors",
        "arrayseg",
        "tests/test_docs.py",
        "tests/test_public_api.py",
        "tests/benchmarks/test_pages.py",
        backends="numpy",
    )


@nox.session(default=False, venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Run the tests on GPU backends with the given interpreter, by default `python`, and write docs/gpu.*."""
    session.run(*(session.posargs or ["python"]), "tests/gpu_record.py", external=True)


@nox.session(default=False, venv_backend="none")
def full(session: nox.Session) -> None:
    """Run every CPU test in one environment, with many more hypothesis examples."""
    python = peers(session)
    session.env["HYPOTHESIS_PROFILE"] = "full"
    run_tests(session, "-m", "not gpu", python=python)


@nox.session(default=False, venv_backend="none")
def bench(session: nox.Session) -> None:
    """Compare time and memory with the frameworks, the peers and the hardware limit.

    Run it as `nox -s bench -- [options of run.py]`.
    """
    python = peers(session)
    # Run the checkout itself, so that the record contains its commit.
    command = (python, "-P", "tests/benchmarks/run.py", "--peers", *session.posargs)
    session.run(*command, env={"PYTHONPATH": str(ROOT)}, external=True)


@nox.session(name="bench-compare", default=False, venv_backend="none")
def bench_compare(session: nox.Session) -> None:
    """Print the times of the checkout divided by the times of a commit.

    Run it as `nox -s bench-compare -- REVISION [options of run.py]`.
    """
    python = frameworks(session)
    session.run(python, "-P", "tests/benchmarks/compare.py", *session.posargs, external=True)
