"""Work shows how far it has come where that was asked for, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from siamesekit import SiameseClassifier
from siamesekit.evaluation import episode_accuracy
from siamesekit.training import progress, showing_progress
from siamesekit.training.progress import counted

pytestmark = pytest.mark.filterwarnings("ignore:Learning loses")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every bar show, however short the work."""
    monkeypatch.setattr(progress, "_DELAY", 0.0)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 6)
    return rng.normal(size=(8, 5))[y] + 0.3 * rng.normal(size=(48, 5)), y


def test_nothing_shows_by_default_and_nothing_is_wrapped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    X, y = data()
    clf = SiameseClassifier("mlp", max_epochs=2, validation=0.4, random_state=0).fit(X, y)
    clf.enroll(X[:1], [99]).predict(X)
    episode_accuracy(clf.transform(X), y + 50, scorer=clf.head_, way=3, random_state=0)
    assert capsys.readouterr() == ("", "")
    blocks = [1, 2]
    assert counted(blocks, 2, "work", "it") is blocks


def test_verbose_shows_training_and_embedding_on_stderr_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    X, y = data()
    silent = SiameseClassifier("mlp", max_epochs=2, validation=0.4, random_state=0).fit(X, y)
    capsys.readouterr()
    clf = SiameseClassifier("mlp", max_epochs=2, validation=0.4, random_state=0, verbose=True)
    clf.fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    for word in ("epoch 1:", "epoch 2:", "embedding:", "scoring:", "2/2", "without learning"):
        assert word in err
    np.testing.assert_array_equal(clf.transform(X), silent.transform(X))
    assert "embedding:" in capsys.readouterr().err
    clf.enroll(X[:1], [99])
    assert "embedding:" in capsys.readouterr().err


def test_functions_show_it_in_a_block(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    X, y = data()
    clf = SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(X, y)
    with showing_progress():
        episode_accuracy(clf.transform(X), y + 50, scorer=clf.head_, way=3, random_state=0)
        err = capsys.readouterr().err
        assert "scoring:" in err
        assert "embedding:" in err
        with showing_progress(False):
            clf.transform(X)
        assert capsys.readouterr().err == ""
        with showing_progress(None):
            clf.transform(X)
        assert "embedding:" in capsys.readouterr().err
    clf.transform(X)
    assert capsys.readouterr().err == ""


def test_files_are_counted_as_they_are_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for k in range(12):
        np.save(tmp_path / f"{k}.npy", rng.normal(size=5))
        paths.append(str(tmp_path / f"{k}.npy"))
    clf = SiameseClassifier(
        "mlp", max_epochs=1, reader=np.load, n_workers=0, verbose=True, random_state=0
    )
    clf.fit(paths, np.repeat(np.arange(4), 3))
    assert "reading:" in capsys.readouterr().err


def test_other_processes_than_the_first_are_silent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = data()
    clf = SiameseClassifier("mlp", max_epochs=1, random_state=0).fit(X, y).set_params(verbose=True)
    for name, value in (("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    for rank, shows in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        clf.transform(X)
        assert ("embedding:" in capsys.readouterr().err) is shows


def test_work_that_is_soon_done_has_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_DELAY", 60.0)
    with showing_progress():
        assert list(counted(range(5), 5, "work", "it")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""
