"""What `import siamesekit` gives, shows and costs."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import siamesekit
from siamesekit.errors import InvalidParameterError, SavedModelError, UnknownPartError

ROOT = Path(__file__).parents[1]
NAMES = [
    "Gallery",
    "PartInfo",
    "SiameseClassifier",
    "SiameseEmbedder",
    "SiameseVerifier",
    "SiamesekitError",
    "__version__",
    "describe",
    "list_parts",
    "load",
    "register",
]
SUBMODULES = [
    "backbones", "catalogue", "cli", "data", "environment", "errors", "estimators", "evaluation",
    "experiments", "gallery", "heads", "losses", "miners", "plots", "recipes", "registry",
    "samplers", "testing", "training",
]  # fmt: skip


def ran(code: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_names_are_these() -> None:
    assert sorted(siamesekit.__all__) == NAMES
    assert dir(siamesekit) == sorted(NAMES + SUBMODULES)
    for name in dir(siamesekit):
        assert getattr(siamesekit, name) is not None
    public = {p.stem for p in Path(siamesekit.__file__).parent.iterdir()} - {"pretrained", "py"}
    assert {name for name in public if not name.startswith("_")} == set(SUBMODULES)


def test_every_name_says_since_which_version_it_is_there() -> None:
    table = tomllib.loads((ROOT / "docs" / "versions.toml").read_text(encoding="utf-8"))
    stated = [
        (module, name) for names in table.values() for module in names for name in names[module]
    ]
    public = [("siamesekit", name) for name in siamesekit.__all__]
    public += [(name, own) for name in SUBMODULES for own in getattr(siamesekit, name).__all__]
    missing, gone = sorted(set(public) - set(stated)), sorted(set(stated) - set(public))
    assert (missing, gone) == ([], []), "docs/versions.toml lacks the former, has the latter"
    assert len(stated) == len(set(stated)), "docs/versions.toml has a name twice"
    now = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert all(as_numbers(version) <= as_numbers(now) for version in table)


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3])


def test_every_error_is_public() -> None:
    defined = {name for name, value in vars(siamesekit.errors).items() if inspect.isclass(value)}
    assert defined == set(siamesekit.errors.__all__)
    for name in defined:
        assert f" {name}" in f" {siamesekit.errors.__doc__}", f"{name} is not in the tree"


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, torch\nbefore = set(sys.modules)\nimport siamesekit\n"
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    assert ran(code) == "siamesekit"


def test_submodules_and_names_are_there_without_an_import_of_their_own() -> None:
    code = "import siamesekit\nsiamesekit.errors.LeakageError\nprint(siamesekit.register.__name__)"
    assert ran(code) == "register"


def test_a_name_that_is_not_there_has_near_matches() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'SiameseClassifier'"):
        siamesekit.SiameseClasifier  # noqa: B018


def test_whatever_was_saved_is_opened(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 4)), np.repeat([0, 1, 2], 4)
    for estimator in (
        siamesekit.SiameseClassifier(max_epochs=0, random_state=0),
        siamesekit.SiameseEmbedder(max_epochs=0, random_state=0),
        siamesekit.SiameseVerifier(max_epochs=0, held_out=None, random_state=0),
    ):
        estimator.fit(X, y).save(tmp_path / "model")
        again = siamesekit.load(tmp_path / "model", device="cpu")
        assert type(again) is type(estimator)
        np.testing.assert_array_equal(again.transform(X), estimator.transform(X))
    gallery = siamesekit.Gallery("cosine")
    gallery.enroll(X, y)
    gallery.save(tmp_path / "staff.gallery")
    assert siamesekit.load(tmp_path / "staff.gallery").classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["absent", "empty", "text"])
def test_what_was_not_saved_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    with pytest.raises(SavedModelError, match=name):
        siamesekit.load(tmp_path / name)


def test_what_no_loader_takes_is_refused(tmp_path: Path) -> None:
    gallery = siamesekit.Gallery("cosine")
    gallery.enroll(np.eye(3), [0, 1, 2])
    gallery.save(tmp_path / "g")
    with pytest.raises(InvalidParameterError, match="colour"):
        siamesekit.load(tmp_path / "g", colour="red")
    with pytest.raises(InvalidParameterError, match="path"):
        siamesekit.load(5)


def test_parts_are_listed_with_what_they_are_for_and_whose_they_are() -> None:
    parts = siamesekit.list_parts()
    assert {part.kind for part in parts} >= {"backbones", "heads", "losses", "augmentations"}
    own = next(p for p in parts if (p.kind, p.name) == ("losses", "triplet"))
    assert own.origin == f"siamesekit {siamesekit.__version__}"
    assert all(part.summary for part in parts if part.distribution == "siamesekit")
    assert [p.name for p in siamesekit.list_parts("losses", "TRIPLET")][-1] == "triplet"
    assert [p.name for p in siamesekit.list_parts("losses", "t*")] == ["triplet"]
    zoo = siamesekit.list_parts("losses", "pml:NTXent")
    assert [p.distribution for p in zoo] == ["pytorch-metric-learning"]


@pytest.mark.parametrize(
    ("kind", "pattern", "named"), [("hats", None, "kind"), ("losses", 5, "pattern")]
)
def test_what_cannot_be_listed_is_named(kind: str, pattern: str, named: str) -> None:
    with pytest.raises(InvalidParameterError, match=named):
        siamesekit.list_parts(kind, pattern)


def test_a_part_is_described() -> None:
    found = siamesekit.describe("losses", "triplet")
    assert found.cls is siamesekit.losses.TripletLoss
    assert found.parameters["margin"] == found.cls().margin
    assert str(found).startswith(f"losses: triplet (siamesekit {siamesekit.__version__})")
    assert "TripletLoss(margin=" in str(found)
    with pytest.raises(UnknownPartError, match="Did you mean 'triplet'"):
        siamesekit.describe("losses", "tripet")
