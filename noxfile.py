"""The versions that siamesekit is tried under, as far as wheels of them exist: ``nox -l``.

``nox -s oldest -- tests/heads`` hands what follows the dashes to pytest.
"""

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "oldest", "newest-3.11", "newest-3.13", "docs", "package"]

# The least that pyproject.toml asks for.
OLDEST = ("torch==2.6.*", "scikit-learn==1.6.*", "numpy==1.26.*", "scipy==1.11.*")


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
    session.install(".[test]", "mlflow-skinny", "wandb")
    session.run("python", "-m", "pytest", "tests/training/test_callbacks.py")


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict", "siamesekit")


@nox.session(python="3.11")
def numeric(session: nox.Session) -> None:
    """The numeric tests under other kernels, threads, precisions and orders."""
    session.run("make", "numeric", external=True)


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """All tests once more, and which lines they run."""
    session.install(".[test]", "coverage>=7")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")


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
    session.install(next(name for name in built if name.endswith(".whl")))
    with session.chdir(session.create_tmp()):
        session.run("siamesekit", "info")
        session.run("siamesekit", "demo")
