"""The test matrix: ``pip install nox && nox`` runs what any machine can; ``nox -l`` lists the sessions."""

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
# Dask is tested with chunks of NumPy arrays; `bare` shows that nothing needs it.
DASK = ("dask", "distributed")
# What each backend needs besides NumPy. CuPy is installed only if there is a GPU (see `tests`).
LIBRARIES = runpy.run_path(str(ROOT / "arrayseg/backends/names.py"))["LIBRARIES"] | {"numpy": DASK}
PEERS = ("keras", "kornia", "monai", "optax", "pycocotools", "scikit-image", "scikit-learn", "torchmetrics")
# Peers of which a part is compared that needs few of their dependencies, or which ask for older releases than they work
# with; among these are models, torchvision and NumPy. What panoptica imports is named here.
BARE_PEERS = ("medpy", "panoptica", "segmentation-models-pytorch", "surface-distance")
PANOPTICA = ("pandas", "plotly", "ruamel.yaml", "SimpleITK")
# What a run with a single backend leaves to the sessions that have what it takes.
ELSEWHERE = "not (parity or compile or compat or mutation or gpu)"


def install(session: nox.Session, *requirements: str) -> None:
    """Install at the tested versions."""
    session.install("-c", CONSTRAINTS, *requirements)


def run_tests(session: nox.Session, *arguments: str, backends: str = "", python: str = "python") -> None:
    """Run pytest on two processes, each with one thread per array library."""
    environment = {"OMP_NUM_THREADS": "1"} | ({"ARRAYSEG_TEST_BACKENDS": backends} if backends else {})
    command = (python, "-P", "-m", "pytest", "--color=no", "-n", "2", *arguments, *session.posargs)
    session.run(*command, env=environment, external=python != "python")


def frameworks(session: nox.Session, *requirements: str) -> str:
    """Interpreter of the environment with every CPU backend; sessions share it, as installing it takes minutes."""
    folder = Path(session.cache_dir).parent / "frameworks"
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not Path(python).exists():
        session.run(sys.executable, "-m", "virtualenv", "-q", str(folder), external=True)
    wanted = (".[all]", "array-api-strict", "scikit-learn", *DASK, *PYTEST, *requirements)
    session.run(python, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, *wanted, external=True)
    return python


def peers(session: nox.Session) -> str:
    """Interpreter of the same environment with the peers in it."""
    python = frameworks(session, *PEERS, *PANOPTICA)
    session.run(python, "-m", "pip", "install", "-q", "--no-deps", "-c", CONSTRAINTS, *BARE_PEERS, external=True)
    return python


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format."""
    install(session, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict, with the same answer whether or not a framework is installed."""
    install(session, "mypy", "numpy", "typer", "rich", "Pillow")
    session.run("mypy")


@nox.session
def bare(session: nox.Session) -> None:
    """The package with its runtime dependencies alone: imports no framework, imports fast, and works."""
    install(session, ".")
    session.run("python", "-P", "tests/bare.py")


@nox.session
def demo(session: nox.Session) -> None:
    """The README's first command."""
    install(session, ".[app]")
    session.run("arrayseg", "demo")


@nox.session
def build(session: nox.Session) -> None:
    """Build the source distribution, and from it the wheel, and try the wheel where nothing else is."""
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
    """One backend in an environment with that array library alone."""
    libraries = LIBRARIES[backend] or cupy_requirements()
    if not libraries:
        session.skip("not run: no CUDA device")
    # The command line is tested where it is promised to run on NumPy alone.
    install(session, ".[app]" if backend == "numpy" else ".", *libraries, *PYTEST)
    run_tests(session, "-m", ELSEWHERE, backends=backend)


def cupy_requirements() -> tuple[str, ...]:
    """Return the CuPy package for the CUDA version of the driver; nothing if no device answers."""
    if shutil.which("nvidia-smi") is None:
        return ()
    answer = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False).stdout
    version = answer.partition("CUDA Version:")[2].strip().partition(".")[0]
    return (f"cupy-cuda{version}x",) if version in {"12", "13"} else ()


@nox.session(venv_backend="none")
def parity(session: nox.Session) -> None:
    """All CPU backends in one process: same values, same gradients; and wrong formulas are noticed."""
    python = frameworks(session)
    run_tests(session, "-m", "(parity or mutation) and not gpu", python=python)


@nox.session(venv_backend="none")
def compile(session: nox.Session) -> None:
    """`torch.compile(fullgraph=True)` and `jax.jit`."""
    python = frameworks(session)
    run_tests(session, "-m", "compile and not gpu", python=python)


@nox.session(venv_backend="none")
def compat(session: nox.Session) -> None:
    """The installed peers' numbers."""
    python = peers(session)
    run_tests(session, "-m", "compat and not gpu", python=python)


@nox.session(default=False)
def newest(session: nox.Session) -> None:
    """The newest releases of NumPy, PyTorch and JAX, pre-releases included, without tests/constraints.txt."""
    libraries = ("numpy", "array-api-compat", "array-api-extra", "array-api-strict", "torch", "jax")
    session.install("--upgrade", "--pre", ".[all]", *libraries, *DASK, *PYTEST)
    run_tests(session, "-m", "not (compat or gpu)")


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """The share of lines and branches that the tests reach on NumPy alone."""
    install(session, "-e", ".[app]", *DASK, *PYTEST, "pytest-cov")
    run_tests(session, "-m", ELSEWHERE, "--cov", "--cov-report=term", backends="numpy")


def lowest(session: nox.Session, *extras: str) -> None:
    """Install the package with some extras at the lowest versions that pyproject.toml allows of what it names."""
    named = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    floors = Path(session.create_tmp()) / "lowest.txt"
    floors.write_text("\n".join(line.replace(">=", "==") for lines in named for line in lines), encoding="utf-8")
    session.install("-c", str(floors), f".[{','.join(extras)}]", *PYTEST)


@nox.session
def minimums(session: nox.Session) -> None:
    """The lowest versions of everything but PyTorch and CuPy."""
    lowest(session, "app", "geometry", "jax")
    run_tests(session, "-m", ELSEWHERE, backends="numpy")
    run_tests(session, "tests/losses/test_multi_scale.py", "tests/metrics/test_parity.py", backends="jax")


@nox.session(default=False)
def minimums_torch(session: nox.Session) -> None:
    """The lowest PyTorch, which comes as gigabytes of CUDA."""
    lowest(session, "torch")
    run_tests(session, "-m", ELSEWHERE, backends="torch")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages, every warning and every malformed public docstring an error, and all their examples and figures."""
    tools = ("sphinx", "myst-parser", "furo", "numpydoc", "sphinx-copybutton", "matplotlib")
    install(session, "-e", ".[app]", *tools, *PYTEST)
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
    """The same tests on torch-CUDA, JAX-CUDA and CuPy of the interpreter given, or `python`; writes docs/gpu.*."""
    session.run(*(session.posargs or ["python"]), "tests/gpu_record.py", external=True)


@nox.session(default=False, venv_backend="none")
def full(session: nox.Session) -> None:
    """Every CPU test in one environment, with many more hypothesis examples."""
    python = peers(session)
    session.env["HYPOTHESIS_PROFILE"] = "full"
    run_tests(session, "-m", "not gpu", python=python)


@nox.session(default=False, venv_backend="none")
def bench(session: nox.Session) -> None:
    """Compare time and memory to the frameworks, the peers and the limit: `nox -s bench -- [options of run.py]`."""
    python = peers(session)
    # The checkout itself runs, so that the record has its commit.
    command = (python, "-P", "tests/benchmarks/run.py", "--peers", *session.posargs)
    session.run(*command, env={"PYTHONPATH": str(ROOT)}, external=True)


@nox.session(name="bench-compare", default=False, venv_backend="none")
def bench_compare(session: nox.Session) -> None:
    """Print the times of the checkout over a commit's times: `nox -s bench-compare -- REVISION [options of run.py]`."""
    python = frameworks(session)
    session.run(python, "-P", "tests/benchmarks/compare.py", *session.posargs, external=True)
