"""The example that embeds a corpus gives each picture the vector that the model gives it."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from _loading import load_module

from siamesekit import SiameseClassifier
from siamesekit.data import ImageReader

Image = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow")

# Of four numbers an item, and for one epoch: that learning is worth little is no news here.
pytestmark = pytest.mark.filterwarnings("ignore:Learning loses")

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed_corpus.py"
IN_COLOUR = ImageReader((10, 8), "RGB")
INK = ImageReader((10, 8), "L", invert=True)

Run = Callable[[Path], np.ndarray]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures, twice as large as the models read them, in folders below."""
    folder = tmp_path_factory.mktemp("pictures")
    draws = np.random.default_rng(0)
    for k in range(24):
        path = folder / f"of {k % 4}" / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = draws.integers(0, 60, (20, 16, 3)) + 40 * (k % 4)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def paths_of(pictures: Path) -> list[str]:
    return sorted(map(str, pictures.rglob("*.png")))


class Fitted(NamedTuple):
    """A model, and the vectors that it gives the pictures, in the order of their paths."""

    model: SiameseClassifier
    vectors: np.ndarray


def fitted(X: object, pictures: Path, **options: object) -> Fitted:
    y = [Path(path).parent.name for path in paths_of(pictures)]
    # As what is exported computes, on any processor.
    options |= {"precision": "float32", "random_state": 0}
    model = SiameseClassifier(backbone="mlp", max_epochs=1, **options).fit(X, y)
    return Fitted(model, model.transform(X))


@pytest.fixture(scope="module")
def of_arrays(pictures: Path) -> Fitted:
    return fitted(np.stack([IN_COLOUR(path) for path in paths_of(pictures)]), pictures)


@pytest.fixture(scope="module")
def of_files(pictures: Path) -> Fitted:
    return fitted(paths_of(pictures), pictures, reader=INK)


def arguments(model: Path, pictures: Path, engine: str) -> list[str]:
    places = ["--model", str(model), "--images", str(pictures), "--out", str(model / "out")]
    return [str(EXAMPLE), *places, "--engine", engine, "--batch", "5"]


def written(model: Path, pictures: Path) -> np.ndarray:
    """Return the vectors, which are those of the paths in order."""
    assert np.load(model / "out" / "paths.npy").tolist() == paths_of(pictures)
    vectors: np.ndarray = np.load(model / "out" / "vectors.npy")
    return vectors


@pytest.fixture
def by_threads(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the example in this process on the model in a folder, and return the vectors."""

    def run(model: Path) -> np.ndarray:
        monkeypatch.setattr(sys, "argv", arguments(model, pictures, "threads"))
        load_module(EXAMPLE).main()
        return written(model, pictures)

    return run


def test_pictures_take_the_shape_of_the_arrays_that_were_learned_from(
    of_arrays: Fitted, by_threads: Run, tmp_path: Path
) -> None:
    of_arrays.model.save(tmp_path)
    np.testing.assert_allclose(by_threads(tmp_path), of_arrays.vectors, rtol=0, atol=1e-6)


def test_pictures_are_read_as_the_files_that_were_learned_from(
    of_files: Fitted, by_threads: Run, tmp_path: Path
) -> None:
    of_files.model.save(tmp_path)
    np.testing.assert_allclose(by_threads(tmp_path), of_files.vectors, rtol=0, atol=1e-6)


def test_an_exported_model_will_do(of_arrays: Fitted, by_threads: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    of_arrays.model.export(tmp_path)
    np.testing.assert_allclose(by_threads(tmp_path), of_arrays.vectors, rtol=0, atol=1e-4)


def test_ray_gives_what_transform_gives(of_files: Fitted, pictures: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs ray[data]")
    of_files.model.save(tmp_path)
    # By itself: Ray's processes know the class of a script, not of a module that a test loaded.
    command = [sys.executable, *arguments(tmp_path, pictures, "ray")]
    subprocess.run(command, check=True, timeout=500)
    np.testing.assert_allclose(written(tmp_path, pictures), of_files.vectors, rtol=0, atol=1e-6)
