"""`fit` under torchrun: every process gets the estimator that one process would get."""

import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from _loading import load_module

from siamesekit import SiameseClassifier
from siamesekit.estimators._reader import Reader

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Of eight numbers an item, and for two epochs: that learning is worth little is no news here.
pytestmark = pytest.mark.filterwarnings("ignore:Learning loses")

SCRIPT = Path(__file__).with_name("joint_fits.py")


script = load_module(SCRIPT)


class Joint(NamedTuple):
    """What each process found, and where they wrote."""

    found: list[dict[str, Any]]
    folder: Path


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Joint:
    folder = tmp_path_factory.mktemp("joint")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script.classifier(checkpoint=folder / "alone.ckpt").fit(*script.data())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    subprocess.run(
        [*launcher, "--master-port", str(port), str(SCRIPT), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=True,
    )
    found = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]
    return Joint(found, folder)


def assert_same(one: dict[str, Any], other: dict[str, Any], atol: float = 0.0) -> None:
    for name, value in one["weights"].items():
        torch.testing.assert_close(other["weights"][name], value, rtol=0, atol=atol)
    np.testing.assert_allclose(other["vectors"], one["vectors"], rtol=0, atol=atol)
    np.testing.assert_allclose(other["calibration"], one["calibration"], rtol=100 * atol)
    np.testing.assert_array_equal(other["classes"], one["classes"])
    assert other["history"].keys() == one["history"].keys()
    for name in one["history"].keys() - ({"seconds"} if atol else set()):
        np.testing.assert_allclose(other["history"][name], one["history"][name], atol=atol)


STREAMS = ("streamed", "of_a_data_set")


@pytest.mark.parametrize("scenario", ["plain", "unlike_networks", "resumed", *STREAMS, "after_all"])
def test_every_process_has_the_same_estimator(joint: Joint, scenario: str) -> None:
    assert_same(joint.found[0][scenario], joint.found[1][scenario])


@pytest.mark.parametrize("scenario", ["plain", "after_all"])
def test_it_is_the_one_that_one_process_fits(joint: Joint, scenario: str) -> None:
    alone = script.outcome(script.classifier().fit(*script.data()))
    assert_same(alone, joint.found[0][scenario], atol=1e-4)


def test_what_is_read_in_chunks_by_several_is_what_one_has_in_memory(joint: Joint) -> None:
    X, y = script.data()
    models = {
        "streamed": script.each_alone(),
        "of_a_data_set": script.each_alone(head="l1").set_params(loss="bce", miner=None),
    }
    for scenario, model in models.items():
        alone = script.outcome(model.fit(X, y))
        assert_same(alone, joint.found[0][scenario], atol=1e-4)
    served = Reader(joint.folder / "served")
    vectors = joint.found[0]["streamed"]["vectors"]
    np.testing.assert_allclose(served.transform(X), vectors, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(served.predict(X), joint.found[0]["streamed"]["classes"])


def test_verifiers_too(joint: Joint) -> None:
    alone = script.verifier(joint.folder)
    for own in joint.found:
        np.testing.assert_allclose(own["verifier"], alone, rtol=0, atol=1e-4)


def test_processes_may_save_to_one_folder(joint: Joint) -> None:
    X, _ = script.data()
    model = SiameseClassifier.load(joint.folder / "model", backbone=script.network(3))
    vectors = model.transform(X)
    np.testing.assert_array_equal(vectors, joint.found[0]["plain"]["vectors"])


def test_several_go_on_from_what_one_wrote_and_one_from_what_several_did(joint: Joint) -> None:
    X, y = script.data()
    unbroken = script.outcome(script.classifier(max_epochs=4).fit(X, y))
    assert_same(unbroken, joint.found[0]["resumed"], atol=1e-4)
    path = joint.folder / "joint.ckpt"
    alone = script.classifier(checkpoint=path, max_epochs=4).fit(X, y)
    assert_same(unbroken, script.outcome(alone), atol=1e-4)


def test_embedding_is_shared(joint: Joint) -> None:
    X, _ = script.data()
    shares = []
    for own in joint.found:
        vectors, alone, share, _ = own["transform_shared"]
        np.testing.assert_allclose(vectors, alone, rtol=0, atol=1e-6)
        shares.append(share)
    assert sum(shares) == len(X) + 5
    assert abs(shares[0] - shares[1]) <= 2
    first, second = (own["transform_shared"] for own in joint.found)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[3], second[3])


@pytest.mark.parametrize(
    ("scenario", "what"),
    [
        ("other_data", "X."),
        ("other_size", "X"),
        ("other_rate", "learning_rate"),
        ("other_epochs", "max_epochs"),
        ("other_network", "the network"),
        ("other_items_to_embed", "the items to embed"),
    ],
)
def test_processes_that_were_given_different_things_say_so(
    joint: Joint, scenario: str, what: str
) -> None:
    for own in joint.found:
        said = own[scenario]
        assert said.startswith("DistributedError: "), said
        assert f"process 1 differs in {what}" in said, said


def test_what_one_raises_the_others_name(joint: Joint) -> None:
    first, second = (own["one_refuses"] for own in joint.found)
    assert second.startswith("InvalidDataError: X contains NaN")
    assert first.startswith("DistributedError: ")
    assert "process 1 failed: InvalidDataError: X contains NaN" in first
    first, second = (own["callback_raises"] for own in joint.found)
    assert second.startswith("KeyError")
    assert "process 1 failed: KeyError: 'enough'" in first


def test_callbacks_are_told_in_the_first_process_and_end_training_in_all(joint: Joint) -> None:
    (one, heard), (other, silent) = (own["ended_by_one"] for own in joint.found)
    assert heard == [1, 2]
    assert silent == []
    assert_same(one, other)
    assert_same(script.outcome(script.classifier().fit(*script.data())), one, atol=1e-4)
    for own in joint.found:
        assert own["callback_of_the_first_fails"] == "KeyError: 'process 0'"


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("own_norm", "InvalidParameterError"),
        ("norm_in_chunks", "InvalidParameterError"),
        ("not_a_checkpoint", "SavedModelError"),
    ],
)
def test_what_all_meet_all_raise(joint: Joint, scenario: str, error: str) -> None:
    assert all(own[scenario].startswith(f"{error}: ") for own in joint.found)
