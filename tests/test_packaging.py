"""What is built is whole: the sdist holds all that its tests need, the wheel works by itself.

Nothing is downloaded: the build's own setuptools and the packages at hand serve.
"""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "examples" / "plugin"
FOLDERS = ("benchmarks", "docs", "examples", "siamesekit", "tests")
TOP = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "README.md", "noxfile.py")
# What `make docs` writes.
_MADE = ("docs/_build/", "docs/start/", "docs/tutorials/")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", "build", "dist")


def files_of(folder: Path) -> set[str]:
    found = {
        str(path.relative_to(folder))
        for name in FOLDERS
        for path in (folder / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    return {
        name
        for name in found
        if not name.startswith(_MADE) and not (name.startswith("docs/") and name.endswith(".rst"))
    }


def built(source: Path, target: Path, what: str) -> Path:
    """Return the distribution that the build backend makes of a project."""
    pytest.importorskip("setuptools", minversion="77")
    code = f"from setuptools.build_meta import build_{what} as b; print('made', b({str(target)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, check=True, capture_output=True, text=True
    )
    return target / done.stdout.split()[-1]


def installed(site: Path, *wheels: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, *options, *map(str, wheels)], check=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from a copy and unpacked."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    for name in (*TOP, "pyproject.toml", "MANIFEST.in"):
        shutil.copy2(ROOT / name, copy / name)
    for name in (*FOLDERS, ".github", ".ci"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=_LEFT_OUT)
    archive = built(copy, out, "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(out, filter="data")
    return out / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean folder with the wheels of siamesekit and of the example's plugin."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    projects = (source, source / "examples" / "plugin")
    installed(site, *[built(project, wheels, "wheel") for project in projects])
    return site


def ran(site: Path, code: str, tmp_path: Path) -> str:
    """Return what a process prints that finds siamesekit in `site`, and nowhere before it."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_the_source_distribution_is_whole(source: Path) -> None:
    assert files_of(source) >= files_of(ROOT)
    assert all((source / name).is_file() for name in TOP)
    assert (source / ".github" / "CONTRIBUTING.md").is_file() or not (ROOT / ".github").exists()


def test_the_oldest_versions_that_are_tried_are_the_least_that_are_asked_for() -> None:
    (tried,) = [
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OLDEST"
    ]
    names = {pin.partition("==")[0] for pin in tried}
    assert names == {"torch", "scikit-learn", "numpy", "scipy"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    floors = [ask.partition(">=") for ask in project["dependencies"]]
    assert sorted(tried) == sorted(f"{n}=={least}.*" for n, _, least in floors if n in names)


def test_tests_pass_from_the_source_distribution(source: Path) -> None:
    # A few that read other folders; `nox` runs all of them.
    tests = ["tests/test_floors.py", "tests/test_deprecation.py"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *tests, "-p", "no:cacheprovider"],
        cwd=source,
        env=os.environ | {"PYTHONPATH": str(source)},
        check=True,
    )


def test_the_wheels_work_by_themselves_and_a_plugin_serves_by_name(
    site: Path, tmp_path: Path
) -> None:
    code = """
import numpy as np, siamesekit
print(siamesekit.__file__)
from importlib.metadata import distribution
(entry,) = distribution("siamesekit").entry_points.select(group="console_scripts")
assert entry.load().__name__ == "main"
siamesekit.SiameseClassifier.from_pretrained("omniglot")
(part,) = siamesekit.list_parts("heads", "example-manhattan")
assert part.origin == "siamesekit-example-plugin 0.1.0", part
rng = np.random.default_rng(0)
X, y = rng.normal(size=(24, 5)) + 3 * np.eye(5)[np.arange(24) % 4], np.arange(24) % 4
clf = siamesekit.SiameseClassifier(
    head="example-manhattan", loss="example-contrast", index="example-flat",
    max_epochs=2, random_state=0,
).set_params(loss__sharpness=4.0).fit(X, y)
clf.save("model")
again = siamesekit.load("model")
assert (again.predict(X) == clf.predict(X)).all()
assert type(again.gallery_.index).__module__.startswith("siamesekit_example_plugin")
assert clf.score(X, y) > 0.25
import pytest, sys
sys.exit(pytest.main(["-q", "tests", "-p", "no:cacheprovider"]))
"""
    shutil.copytree(PLUGIN / "tests", tmp_path / "tests", ignore=_LEFT_OUT)
    said = ran(site, code, tmp_path)
    assert said.startswith(str(site))
    assert "6 passed" in said, "the plugin's own test"
