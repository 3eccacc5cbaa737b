"""Figures are written with what they were made on."""

import json

import torch

from siamesekit.environment import environment, hardware


def test_machine_and_versions_are_named() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["hardware"] == hardware()
    assert str(found["hardware"]).partition(" ")[2].strip()
