"""Callbacks are told of training, may end it, and lose nothing of what was learned."""

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from torch import Tensor

from siamesekit import SiameseClassifier, load
from siamesekit.errors import InvalidParameterError, UnknownPartError
from siamesekit.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    MLflowLogger,
    Record,
    TensorBoardLogger,
    TimeLimit,
    TrainingLine,
    WandbLogger,
)

Make = Callable[..., TrainingLine]
Fit = Callable[..., History]


def weights(line: TrainingLine) -> Tensor:
    return torch.cat([p.detach().flatten() for p in line.parameters()])


def scores(*values: float) -> Callable[[TrainingLine], float]:
    """Return a validation that gives one value after the other."""
    left: Iterator[float] = iter(values)
    return lambda line: next(left)


class Told(Callback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Record]] = []

    def on_start(self, record: Record) -> None:
        self.records.append(("start", record))

    def on_epoch(self, record: Record) -> None:
        self.records.append(("epoch", record))

    def on_end(self, record: Record) -> None:
        self.records.append(("end", record))


class Failing(Callback):
    """Fails at one moment."""

    def __init__(self, moment: str) -> None:
        self.moment = moment
        self.calls = 0

    def _fail(self, moment: str) -> None:
        if moment == self.moment:
            self.calls += 1
            raise ZeroDivisionError("the disk of the log is full")

    def on_start(self, record: Record) -> None:
        self._fail("on_start")

    def on_epoch(self, record: Record) -> None:
        self._fail("on_epoch")

    def on_end(self, record: Record) -> None:
        self._fail("on_end")


class Ends(Callback):
    """Ends training after some epochs of a call."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_start(self, record: Record) -> None:
        self.last = record.epoch + self.after

    def on_epoch(self, record: Record) -> bool:
        return record.epoch >= self.last


def test_a_callback_hears_of_start_every_epoch_and_end(make: Make, fit: Fit) -> None:
    told = Told()
    history = fit(make(), callbacks=[told], validate=scores(0.1, 0.3, 0.2))
    assert [moment for moment, _ in told.records] == ["start", "epoch", "epoch", "epoch", "end"]
    first, *epochs, last = (record for _, record in told.records)
    assert first.epoch == 0
    assert first.numbers == {}
    assert first.validated
    assert [record.epoch for record in epochs] == [1, 2, 3]
    assert [record.numbers["loss"] for record in epochs] == history["loss"]
    assert [record.numbers["validation"] for record in epochs] == [0.1, 0.3, 0.2]
    assert all({"learning_rate", "seconds"} <= record.numbers.keys() for record in epochs)
    # A triplet loss has a margin, this one has none: what is not a number is left out.
    assert "active" in history
    assert "active" not in epochs[0].numbers
    assert last.best_epoch == 2
    times = [record.seconds for _, record in told.records]
    assert times == sorted(times)
    assert first.facts["head"] == "CosineHead()"
    assert first.facts["backbone"] == "Sequential"
    assert first.facts["n_items"] == 48
    assert first.facts["learning_rate"] == 1e-2
    # A copy: nothing that a callback does to it reaches training.
    epochs[0].history["loss"].clear()
    assert history.epochs == 3


def test_nothing_to_train_is_nothing_to_tell(make: Make, fit: Fit, tmp_path: Path) -> None:
    told = Told()
    fit(make(), callbacks=[told], max_epochs=0)
    file = Checkpoint(tmp_path / "run.ckpt")
    fit(make(), checkpoint=file)
    fit(make(), checkpoint=file, callbacks=[told])
    assert told.records == []


@pytest.mark.parametrize("every", [1, 5])
def test_a_run_that_a_callback_ended_goes_on_to_where_an_unbroken_one_ends(
    make: Make, fit: Fit, tmp_path: Path, every: int
) -> None:
    plan = {"max_epochs": 5, "averaging": 0.9}
    whole = make()
    unbroken = fit(whole, **plan)
    file = Checkpoint(tmp_path / "run.ckpt", every=every)
    ended = make()
    assert fit(ended, checkpoint=file, callbacks=[Ends(2)], **plan).epochs == 2
    assert not ended.training
    assert fit(make(), checkpoint=file, callbacks=[Ends(2)], **plan).epochs == 4
    resumed = make()
    history = fit(resumed, checkpoint=file, **plan)
    assert torch.equal(weights(whole), weights(resumed))
    assert history["loss"] == unbroken["loss"]


def test_a_time_limit_ends_after_the_epoch_at_hand(make: Make, fit: Fit, tmp_path: Path) -> None:
    plan = {"max_epochs": 4, "checkpoint": Checkpoint(tmp_path / "run.ckpt", every=10)}
    # A nanosecond is up after any epoch: each call trains one.
    lengths = [fit(make(), callbacks=[TimeLimit(1e-9)], **plan).epochs for _ in range(5)]
    assert lengths == [1, 2, 3, 4, 4]
    assert fit(make(), callbacks=[TimeLimit(3600)], max_epochs=4).epochs == 4


@pytest.mark.parametrize(
    ("values", "patience", "min_delta", "epochs"),
    [
        ((0.1, 0.2, 0.2, 0.2, 0.9), 2, 0.0, 4),
        ((0.1, 0.2, 0.3, 0.4, 0.5), 1, 0.0, 5),
        ((0.5, 0.52, 0.54, 0.56, 0.9), 3, 0.05, 5),
        ((0.5, 0.52, 0.54, 0.9, 0.9), 2, 0.05, 3),
        ((float("nan"), float("nan"), 0.5, 0.6, 0.7), 2, 0.0, 2),
        ((-5.0, -4.0, -4.0, -4.0, -4.0), 3, 0.0, 5),
    ],
)
def test_early_stopping_waits_for_a_gain(
    make: Make, fit: Fit, values: tuple[float, ...], patience: int, min_delta: float, epochs: int
) -> None:
    stop = EarlyStopping(patience, min_delta)
    history = fit(make(), max_epochs=5, validate=scores(*values), callbacks=[stop])
    assert history.epochs == epochs
    if min_delta == 0.0:
        by_plan = fit(make(), max_epochs=5, validate=scores(*values), patience=patience)
        assert by_plan.epochs == epochs


def test_early_stopping_keeps_the_best_epoch(make: Make, fit: Fit) -> None:
    kept: list[Tensor] = []
    line = make()
    fit(
        line,
        max_epochs=9,
        validate=scores(0.1, 0.8, 0.3, 0.3),
        callbacks=[EarlyStopping(2), lambda line, _: kept.append(weights(line))],
    )
    assert len(kept) == 4
    assert torch.equal(weights(line), kept[1])


def test_early_stopping_by_the_loss(make: Make, fit: Fit) -> None:
    # Steps of no size leave the loss where it is, but for what is drawn.
    stop = EarlyStopping(2, min_delta=10.0, monitor="loss")
    assert fit(make(), max_epochs=9, callbacks=[stop]).epochs == 3


def test_a_run_that_stopped_early_does_not_go_on(make: Make, fit: Fit, tmp_path: Path) -> None:
    file, told = Checkpoint(tmp_path / "run.ckpt"), Told()
    stop = EarlyStopping(2, min_delta=10.0, monitor="loss")
    ended = make()
    assert fit(ended, max_epochs=9, checkpoint=file, callbacks=[stop]).epochs == 3
    again = make()
    history = fit(again, max_epochs=9, checkpoint=file, callbacks=[stop, told])
    assert history.epochs == 3
    assert [moment for moment, _ in told.records] == ["start", "end"]
    assert torch.equal(weights(ended), weights(again))
    # A longer patience goes on from there.
    more = EarlyStopping(4, min_delta=10.0, monitor="loss")
    assert fit(make(), max_epochs=9, checkpoint=file, callbacks=[more]).epochs == 5


def test_early_stopping_wants_what_it_monitors(make: Make, fit: Fit) -> None:
    line = make()
    before = weights(line)
    with pytest.raises(InvalidParameterError, match="needs a validation; got validation=None"):
        fit(line, callbacks=["early-stopping"])
    assert torch.equal(weights(line), before)


@pytest.mark.parametrize("moment", ["on_epoch", "on_end"])
def test_a_callback_that_fails_is_left_out_and_training_goes_on(
    make: Make, fit: Fit, moment: str
) -> None:
    failing, told, line, whole = Failing(moment), Told(), make(), make()
    with pytest.warns(UserWarning, match=rf"Failing\.{moment} failed.*the disk of the log is full"):
        history = fit(line, callbacks=[failing, told])
    assert failing.calls == 1
    assert len(told.records) == 5
    assert history["loss"] == fit(whole)["loss"]
    assert torch.equal(weights(line), weights(whole))


def test_what_fails_at_the_start_costs_nothing(make: Make, fit: Fit) -> None:
    line = make()
    before = weights(line)
    with pytest.raises(ZeroDivisionError):
        fit(line, callbacks=[Failing("on_start")])
    assert torch.equal(weights(line), before)


def test_an_answer_that_is_none_is_a_failure(make: Make, fit: Fit) -> None:
    class Odd(Callback):
        def on_epoch(self, record: Record) -> Any:
            return "stop"

    with pytest.warns(UserWarning, match="must return True to end training"):
        assert fit(make(), callbacks=[Odd()]).epochs == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_was_learned_before_a_function_raised_is_kept(
    make: Make, fit: Fit, tmp_path: Path, error: type[BaseException]
) -> None:
    def fail(line: TrainingLine, history: History) -> None:
        if history.epochs == 3:
            raise error

    file, told = Checkpoint(tmp_path / "run.ckpt", every=100), Told()
    line = make()
    with pytest.raises(error):
        fit(line, max_epochs=5, checkpoint=file, callbacks=[fail], validate=scores(0.1, 0.9, 0.3))
    assert not line.training
    validate = scores(0.1, 0.9, 0.3, 0.4, 0.5)
    whole = make()
    fit(whole, max_epochs=5, validate=validate)
    # The second epoch was the best, of the whole run too.
    assert torch.equal(weights(line), weights(whole))
    rest = fit(make(), max_epochs=5, checkpoint=file, callbacks=[told], validate=scores(0.1, 0.2))
    assert rest.epochs == 5
    assert told.records[0][1].epoch == 3


def test_a_callback_shows_what_it_is() -> None:
    assert repr(TimeLimit(60.0)) == "TimeLimit(seconds=60.0)"
    assert repr(EarlyStopping(3, monitor="loss")) == "EarlyStopping(patience=3, monitor='loss')"
    assert repr(TensorBoardLogger(None, "a/")) == "TensorBoardLogger(writer=None, prefix='a/')"


def test_names_and_classes_are_callbacks_too(make: Make, fit: Fit) -> None:
    assert fit(make(), callbacks=["time-limit", TimeLimit]).epochs == 3
    with pytest.raises(UnknownPartError, match="Did you mean 'early-stopping'"):
        fit(make(), callbacks=["early-stoping"])


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: EarlyStopping(0), "patience"),
        (lambda: EarlyStopping(min_delta=-1.0), "min_delta"),
        (lambda: EarlyStopping(monitor="accuracy"), "monitor"),
        (lambda: TimeLimit(0), "seconds"),
        (lambda: TimeLimit(float("nan")), "seconds"),
        (lambda: TensorBoardLogger(5), "add_scalar"),
        (lambda: MLflowLogger(5), "log_metrics, log_params"),
        (lambda: WandbLogger(5), "log"),
        (lambda: WandbLogger(None, prefix=5), "prefix"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidParameterError, match=named):
        call()


# -- in an estimator -------------------------------------------------------------------------


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 8)
    return rng.normal(size=(6, 5))[y] + 0.3 * rng.normal(size=(48, 5)), y


def test_an_estimator_ended_early_is_fitted_and_goes_through_sklearn(tmp_path: Path) -> None:
    X, y = data()
    clf = SiameseClassifier(
        "mlp", max_epochs=50, random_state=0, callbacks=[TimeLimit(1e-9), Told()]
    ).fit(X, y)
    assert clf.history_.epochs == 1
    assert clf.score(X, y) > 0.5
    again = clone(clf)
    assert again.callbacks[0].seconds == 1e-9
    assert again.fit(X, y).history_.epochs == 1
    assert pickle.loads(pickle.dumps(clf)).callbacks[0].seconds == 1e-9
    clf.set_params(callbacks=[TimeLimit(1e-9), EarlyStopping(3, 0.1, "loss")]).save(tmp_path / "m")
    kept = load(tmp_path / "m").callbacks
    assert [type(callback) for callback in kept] == [TimeLimit, EarlyStopping]
    assert kept[1].get_params() == {"patience": 3, "min_delta": 0.1, "monitor": "loss"}
    assert cross_val_score(clf, X, y, cv=2).shape == (2,)


class Writer:
    """Takes all that the three loggers write, and cannot be copied or pickled."""

    def __init__(self) -> None:
        self.written: list[tuple[Any, ...]] = []
        self.flushed = 0

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        self.written.append((tag, scalar_value, global_step))

    def flush(self) -> None:
        self.flushed += 1

    def __reduce__(self) -> Any:
        raise TypeError("it holds a socket")


def test_copies_of_a_logger_share_its_writer_and_a_pickle_does_without(tmp_path: Path) -> None:
    X, y = data()
    writer = Writer()
    clf = SiameseClassifier("mlp", max_epochs=2, random_state=0)
    clf.set_params(callbacks=[TensorBoardLogger(writer, prefix="fold/")])
    for own in (clone(clf), copy.deepcopy(clf)):
        writer.written.clear()
        own.fit(X, y)
        assert [row for row in writer.written if row[0] == "fold/loss"] == [
            ("fold/loss", loss, k) for k, loss in enumerate(own.history_["loss"], start=1)
        ]
    assert writer.flushed == 2
    with pytest.warns(UserWarning, match="writer of a TensorBoardLogger.*it holds a socket"):
        mute = pickle.loads(pickle.dumps(own))
    assert mute.callbacks[0].writer is None
    assert mute.callbacks[0].prefix == "fold/"
    written = len(writer.written)
    assert clone(mute).fit(X, y).history_.epochs == 2
    assert len(writer.written) == written
    own.save(tmp_path / "model")
    with pytest.warns(UserWarning, match="callbacks"):
        assert load(tmp_path / "model").callbacks == ()


class Tracking:
    """Has MLflow's two functions, with its signatures."""

    def __init__(self) -> None:
        self.metrics: list[tuple[dict[str, float], int | None]] = []
        self.params: dict[str, Any] = {}

    def log_metrics(
        self,
        metrics: dict[str, float],
        step: int | None = None,
        synchronous: bool | None = None,
        run_id: str | None = None,
        timestamp: int | None = None,
        model_id: str | None = None,
        dataset: object = None,
    ) -> None:
        self.metrics.append((metrics, step))

    def log_params(
        self, params: dict[str, Any], synchronous: bool | None = None, run_id: str | None = None
    ) -> None:
        self.params |= params


class RunOfWandb:
    """Has the method and the config of a run, with their signatures."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.config = self
        self.known: dict[str, Any] = {}

    def log(
        self, data: dict[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        assert step is None
        self.rows.append(data)

    def update(self, d: dict[str, Any], allow_val_change: bool | None = None) -> None:
        assert allow_val_change
        self.known |= d


def test_mlflow_and_wandb_get_numbers_and_parts(make: Make, fit: Fit) -> None:
    tracking, run = Tracking(), RunOfWandb()
    history = fit(make(), callbacks=[MLflowLogger(tracking, "a/"), WandbLogger(run)])
    assert [step for _, step in tracking.metrics] == [1, 2, 3]
    assert [numbers["a/loss"] for numbers, _ in tracking.metrics] == history["loss"]
    assert tracking.params["a/loss"] == "EpisodicLoss()"
    assert [row["epoch"] for row in run.rows] == [1, 2, 3]
    assert [row["loss"] for row in run.rows] == history["loss"]
    assert run.known["max_epochs"] == 3


# -- the real ones, where they are installed -------------------------------------------------


def test_tensorboard_reads_what_was_written(make: Make, fit: Fit, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        history = fit(make(), callbacks=[TensorBoardLogger(writer, "run 1/")])
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    events = found.Scalars("run 1/loss")
    assert [event.step for event in events] == [1, 2, 3]
    np.testing.assert_allclose([event.value for event in events], history["loss"], rtol=1e-6)


def test_mlflow_has_the_run(make: Make, fit: Fit, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    try:
        with mlflow.start_run() as run:
            history = fit(make(), callbacks=[MLflowLogger(mlflow)])
        client = mlflow.MlflowClient()
        losses = client.get_metric_history(run.info.run_id, "loss")
        assert [metric.step for metric in losses] == [1, 2, 3]
        assert [metric.value for metric in losses] == history["loss"]
        params = client.get_run(run.info.run_id).data.params
        assert params["head"] == "CosineHead()"
        assert params["max_epochs"] == "3"
    finally:
        mlflow.set_tracking_uri(before)


def test_wandb_has_the_run_offline(
    make: Make, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(mode="offline", dir=tmp_path, project="tests") as run:
        history = fit(make(), callbacks=[WandbLogger(run)])
        assert run.summary["epoch"] == 3
        assert run.summary["loss"] == history["loss"][-1]
        assert run.config["head"] == "CosineHead()"
