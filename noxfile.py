"""The versions that siamesekit is tried under, as far as wheels of them exist: ``nox -l``.

``nox -s oldest -- tests/heads`` hands what follows the dashes to pytest. On Linux the index has the
oldest and the newest torch with CUDA alone: some 3 GB, which serve without a GPU too.
"""

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "oldest", "newest-3.11", "newest-3.13", "docs", "package"]

# The least that pyproject.toml asks for (tests/test_packaging.py compares them).
OLDEST = ("torch==2.6.*", "scikit-learn==1.6.*", "numpy==1.26.*", "scipy==1.11.*")
# Where another version would tell nothing more: that of the Makefile, or what TORCH names.
TORCH = os.environ.get("TORCH", "torch==2.13.0")


def run_tests(session: nox.Session) -> None:
    """Run the tests, or those that are named behind the dashes."""
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """The oldest torch, scikit-learn, numpy and scipy."""
    session.install(*OLDEST, ".[test]")
    run_tests(session)


@nox.session(name="newest-3.11", python="3.11")
def newest_on_the_oldest_python(session: nox.Session) -> None:
    """The newest of all on the oldest Python."""
    session.install("--upgrade", "torch", "scikit-learn", ".[test]")
    run_tests(session)


@nox.session(name="newest-3.13", python="3.13")
def newest_on_the_newest_python(session: nox.Session) -> None:
    """The newest of all on the newest Python for which every wheel of the test extra exists."""
    session.install("--upgrade", "torch", "scikit-learn", ".[test]")
    run_tests(session)


@nox.session(python="3.11")
def loggers(session: nox.Session) -> None:
    """Callbacks with the real MLflow and Weights & Biases, which take long to import."""
    session.install(TORCH, ".[test]", "mlflow-skinny", "wandb")
    session.run("python", "-m", "pytest", "tests/training/test_callbacks.py")


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(TORCH, ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict", "siamesekit")


@nox.session(python="3.11")
def numeric(session: nox.Session) -> None:
    """The numeric tests under other kernels, threads, precisions and orders."""
    session.run("make", "numeric", external=True)


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """All tests once more, and which lines they run; the floor is for all of them."""
    session.install(TORCH, ".[test]", "coverage>=7.10")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The site; a warning fails it."""
    session.run("make", "docs", external=True)


@nox.session(python="3.11")
def package(session: nox.Session) -> None:
    """Build sdist and wheel, check what the index would show, install the wheel and try it."""
    session.install("build", "twine")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    built = sorted(map(str, Path("dist").iterdir()))
    session.run("twine", "check", "--strict", *built)
    session.install(TORCH, next(name for name in built if name.endswith(".whl")))
    with session.chdir(session.create_tmp()):
        session.run("siamesekit", "info")
        session.run("siamesekit", "demo")
