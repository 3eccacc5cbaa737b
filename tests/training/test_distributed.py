"""Several processes take the steps that one takes on their joint batch."""

import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from _loading import load_module

WORKER = Path(__file__).with_name("joint_worker.py")
# Nearest and furthest are chosen from scores that differ in the last digit.
TOLERANCE = 1e-5


worker = load_module(WORKER)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], list[dict[str, Any]]]:
    """Return what each of some processes found, which are run once."""

    @cache
    def of(size: int) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp(f"of{size}")
        common = {"WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()}
        started = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", str(WORKER), str(folder)],
                env={**os.environ, **{k: str(v) for k, v in common.items()}, "RANK": str(rank)},
            )
            for rank in range(size)
        ]
        for process in started:
            process.wait(300)
        return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(size)]

    return of


@pytest.fixture(scope="module")
def alone() -> Callable[[str], Any]:
    """Return what one process does."""
    return cache(worker.run)


@pytest.mark.parametrize(
    ("size", "name"), [(size, name) for size in (2, 3) for name in worker.cases_of(size)]
)
def test_weights_are_those_of_one_process_step_by_step(
    name: str, size: int, found: Callable[..., Any], alone: Callable[..., Any]
) -> None:
    processes = [own[name] for own in found(size)]
    assert not isinstance(processes[0], str), processes[0]
    states, history = alone(name)
    tolerance = worker.CASES[name].get("tolerance", TOLERANCE)
    assert any(not torch.equal(states[0][key], states[-1][key]) for key in states[0]), "no step"
    for seen, _ in processes:
        assert len(seen) == len(states)
        for state, own in zip(states, seen, strict=True):
            for key, value in state.items():
                torch.testing.assert_close(own[key], value, rtol=tolerance, atol=tolerance)
    for state, *others in zip(*(seen for seen, _ in processes), strict=True):
        assert all(torch.equal(state[key], own[key]) for own in others for key in state)
    for key in history.keys() - {"seconds"}:
        for _, own in processes:
            near = pytest.approx(history[key], rel=tolerance, abs=tolerance, nan_ok=True)
            assert own[key] == near, key


def test_a_step_that_is_not_finite_in_one_process_is_skipped_by_all(
    found: Callable[..., Any],
) -> None:
    for own in found(3):
        _, history = own["not-finite"]
        # One of the two batches of each epoch has the item.
        assert history["skipped"] == [1.0] * worker.STEPS
        assert all(map(math.isfinite, history["loss"]))


@pytest.mark.parametrize("name", [name for name in worker.cases_of(2) if "overflows" in name])
def test_where_one_process_overflows_all_take_the_step_again(
    name: str, found: Callable[..., Any], alone: Callable[[str], Any]
) -> None:
    _, wanted = alone(name)
    assert wanted["overflows"][0] > 0
    for own in found(2):
        _, history = own[name]
        assert history["overflows"] == wanted["overflows"]
        assert history["loss_scale"] == wanted["loss_scale"]
        assert history["skipped"] == [0.0] * worker.STEPS


def test_a_process_may_take_its_time_to_read_its_share(found: Callable[..., Any]) -> None:
    """Longer than it may be late within a step, as an epoch begins and where items are embedded."""
    first, second = (own["late"] for own in found(2))
    assert isinstance(first, torch.Tensor), first
    assert first.shape == (48, 8)
    assert torch.equal(first, second)


def test_all_wait_for_one_that_comes_late_and_for_what_the_first_does_alone(
    found: Callable[..., Any],
) -> None:
    assert [own["late first"] for own in found(2)] == ["something", "something"]


def test_a_process_that_is_stopped_ends_the_others(found: Callable[..., Any]) -> None:
    """It keeps the store of all, which then answers nobody."""
    seconds, _, said = found(2)[1]["stopped"].partition(" s: ")
    assert said.startswith("DistributedError: process 1 of 2 waits in vain"), said
    assert f"did not come within {worker.LIMIT} s" in said
    assert int(seconds) < 30
    # Woken up, it learns of it, and is there for the next run.
    assert "DistributedError: process 0 of 2" in found(2)[0]["stopped"]
    assert "DistributedError" in found(2)[0]["last words"]


@pytest.mark.parametrize("size", [2, 3])
def test_a_process_that_dies_ends_the_others(size: int, found: Callable[..., Any]) -> None:
    for own in (found(size)[0], *found(size)[2:]):
        seconds, _, said = own["last words"].partition(" s: ")
        assert said.startswith("DistributedError: process "), said
        # As long as the others would have waited between epochs, where this one died.
        assert "did not come within 1800 s" in said
        assert int(seconds) < 30
