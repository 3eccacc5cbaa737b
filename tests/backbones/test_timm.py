"""Networks of timm: real ones, drawn at random; weights from files; what learns of them."""

import copy
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from siamesekit import SiameseVerifier, registry
from siamesekit.backbones import learning_layers
from siamesekit.backbones._weights_file import read_weights
from siamesekit.errors import (
    CorruptDatasetError,
    DatasetNotFoundError,
    InvalidDataError,
    InvalidParameterError,
    PluginImportError,
    UnknownPartError,
)
from siamesekit.testing import check_plugin

# Asked without importing it: a torchvision of another torch makes that an error of its own.
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None or importlib.util.find_spec("torchvision") is None,
    reason="timm and torchvision are not installed: pip install --no-deps timm torchvision",
)
NAME = "timm:resnet10t"


def make(name: str = NAME, **params: Any) -> Any:
    return registry.create("backbones", name, **({"input_size": 64} | params))


def original(name: str = "resnet10t") -> nn.Module:
    """Return timm's own network with its classifier, whose weights stand for pretrained ones."""
    from siamesekit.backbones.timm import import_timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return import_timm().create_model(name, num_classes=7).eval()


def images(n: int = 3, channels: int = 3, side: int = 64) -> Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0))


@needs_timm
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "test_convnext"])
def test_networks_keep_the_contract(name: str) -> None:
    check_plugin("backbones", make(f"timm:{name}"))


@needs_timm
@pytest.mark.parametrize("name", ["test_vit", "levit_128s", "swin_s3_tiny_224"])
def test_networks_of_a_fixed_size_show_images_in_it(name: str) -> None:
    net = make(f"timm:{name}", input_size=None).build((1, 20, 30)).eval()
    with torch.no_grad():
        z = net(torch.rand(2, 1, 20, 30))
    assert z.shape == (2, 2 * net.network.network.num_features)
    with pytest.raises(InvalidParameterError, match=rf"input_size of timm:{name} must be \d+"):
        make(f"timm:{name}", input_size=48).build((1, 20, 30))


@needs_timm
def test_mean_and_maximum_of_the_map_stand_side_by_side(tmp_path: Path) -> None:
    theirs, x = original(), images()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        found = theirs.forward_features((x - mean) / deviation)
        parts = {"avg": found.mean((2, 3)), "max": found.amax((2, 3))}
        parts["catavgmax"] = torch.cat([parts["avg"], parts["max"]], dim=1)
        parts["model"] = theirs.forward_head(found, pre_logits=True)
        for pool, expected in parts.items():
            net = make(pretrained=tmp_path / "weights.pth", pool=pool).build((3, 64, 64)).eval()
            torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


@needs_timm
def test_grey_images_are_shown_in_every_channel_at_the_weights_size() -> None:
    net = make(input_size=None).build((1, 40, 40)).eval()
    assert net.network.size == (176, 176)  # what timm says of resnet10t
    grey = images(2, channels=1, side=40)
    with torch.no_grad():
        torch.testing.assert_close(net(grey), net(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(InvalidDataError, match=r"1 or 3 channels; got .*\(2, 40, 40\)"):
        make().build((2, 40, 40))
    with pytest.raises(InvalidDataError, match="images"):
        make().build((16,))


@needs_timm
@pytest.mark.parametrize("wrap", ["safetensors", "plain", "state_dict", "module.", "_orig_mod."])
def test_weights_are_read_from_files_of_every_make(wrap: str, tmp_path: Path) -> None:
    theirs = original()
    weights = theirs.state_dict()
    path = tmp_path / "weights.pth"
    if wrap == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(weights, path)
    elif wrap == "state_dict":
        torch.save({"epoch": 3, "state_dict": weights}, path)
    else:
        prefix = "" if wrap == "plain" else wrap
        torch.save({prefix + key: value for key, value in weights.items()}, path)
    net = make(pretrained=str(path)).build((3, 64, 64))
    for key, value in net.network.network.state_dict().items():
        assert torch.equal(value, weights[key]), key


@needs_timm
def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    weights = dict(original().state_dict())
    path = tmp_path / "weights.pth"
    first = weights.pop("conv1.0.weight")
    torch.save(weights, path)
    with pytest.raises(InvalidParameterError, match=r"\(missing in it: conv1\.0\.weight\)"):
        make(pretrained=path).build((3, 64, 64))
    torch.save({**weights, "conv1.0.weight": first[:, :1], "neck.bias": torch.zeros(2)}, path)
    with pytest.raises(
        InvalidParameterError,
        match=r"weights of timm:resnet10t.*unknown to the network: neck\.bias; "
        r"of another shape: conv1\.0\.weight \(24, 1, 3, 3\) in place of \(24, 3, 3, 3\)",
    ):
        make(pretrained=path).build((3, 64, 64))
    torch.save({f"other.{key}": value for key, value in weights.items()}, path)
    with pytest.raises(InvalidParameterError, match=r"missing in it: .* and \d+ more; unknown"):
        make(pretrained=path).build((3, 64, 64))


@needs_timm
def test_weights_that_timm_would_fetch_say_why_they_do_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from siamesekit.backbones.timm import import_timm

    def offline(name: str, pretrained: bool, **given: Any) -> None:
        assert pretrained
        raise OSError("no network")

    monkeypatch.setattr(import_timm(), "create_model", offline)
    with pytest.raises(DatasetNotFoundError, match=r"resnet10t \(OSError: no network\); give the"):
        make(pretrained=True).build((3, 64, 64))


@needs_timm
def test_only_the_last_layers_learn_and_the_rest_stands_still() -> None:
    net = make(n_trainable=3).build((3, 64, 64)).train()
    last = learning_layers(net)[-3:]
    learning = [w for w in net.parameters() if w.requires_grad]
    assert {id(w) for w in learning} == {id(w) for layer in last for w in layer.parameters()}
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(learning, lr=0.1)
    net(images()).square().sum().backward()
    optimizer.step()
    kept = {id(w) for layer in last for w in (*layer.parameters(), *layer.buffers())}
    changed = [
        n for n, v in net.state_dict(keep_vars=True).items() if not torch.equal(v, before[n])
    ]
    own = {n for n, v in net.state_dict(keep_vars=True).items() if id(v) in kept}
    assert changed
    assert set(changed) <= own
    with pytest.raises(InvalidParameterError, match=r"n_trainable must be .*; got 1000"):
        make(n_trainable=1000).build((3, 64, 64))


@needs_timm
def test_layers_behind_the_pooling_are_left_out_unless_they_are_used() -> None:
    ours = make("timm:mobilenetv3_small_050").build((3, 64, 64))
    whole = make("timm:mobilenetv3_small_050", pool="model").build((3, 64, 64))
    assert not list(ours.network.network.conv_head.parameters())
    assert list(whole.network.network.conv_head.parameters())
    assert not list(whole.network.network.classifier.parameters())


@needs_timm
def test_copies_and_pickles_are_networks_of_the_same_name() -> None:
    net = make().build((3, 64, 64)).eval()
    x = images()
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(again) is registry.get("backbones", NAME)
        assert torch.equal(again(x), net(x))
    assert registry.name_of("backbones", net) == NAME


@needs_timm
def test_names_that_timm_does_not_know_are_named() -> None:
    with pytest.raises(UnknownPartError, match=r"no network 'resnet10'\. Did you mean .*resnet10t"):
        registry.get("backbones", "timm:resnet10")
    with pytest.raises(
        UnknownPartError, match=r"no weights 'my_own' of resnet10t; it has 'c3_in1k'"
    ):
        registry.get("backbones", "timm:resnet10t.my_own")
    tagged = registry.get("backbones", "timm:resnet10t.c3_in1k")
    assert tagged(input_size=32).build((3, 32, 32)).network is not None


@needs_timm
def test_the_seeds_network_of_two_photographs(tmp_path: Path) -> None:
    """Pretrained, its last three layers learning, both poolings, a symmetric learned head."""
    torch.save(original().state_dict(), tmp_path / "weights.pth")
    y = np.arange(24) % 6
    X = (images(24, side=32) * 255).to(torch.uint8).numpy()
    for person in range(6):
        X[y == person, person % 3, :, : 10 * (1 + person // 3)] = 255
    backbone = make(pretrained=tmp_path / "weights.pth", n_trainable=3, input_size=32)
    model = SiameseVerifier(backbone, head="cosine-concat", max_epochs=2, random_state=0)
    model.fit(X, y)
    assert model.backbone_.pretrained is False
    one, other = X[:12], X[12:]
    chances = model.predict_proba(one, other)
    np.testing.assert_allclose(chances, model.predict_proba(other, one), atol=1e-6)
    assert ((chances >= 0) & (chances <= 1)).all()
    frozen = model.backbone_.network.network.conv1[0].weight
    assert torch.equal(frozen, read_weights(tmp_path / "weights.pth")["conv1.0.weight"])
    model.save(tmp_path / "model")
    (tmp_path / "weights.pth").unlink()  # what is needed to use it is in its folder
    again = SiameseVerifier.load(tmp_path / "model")
    np.testing.assert_allclose(again.predict_proba(one, other), chances, atol=1e-6)


@needs_timm
@pytest.mark.parametrize(
    "params",
    [
        {"pretrained": 1},
        {"pretrained": None},
        {"pretrained": ""},
        {"n_trainable": -1},
        {"n_trainable": 1.5},
        {"pool": "sum"},
        {"input_size": 0},
        {"input_size": (64, 64)},
    ],
)
def test_parameters_are_checked(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=f"{next(iter(params))} must be"):
        make(**params)


def test_files_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"absent\.pth is none"):
        read_weights(tmp_path / "absent.pth")
    text = tmp_path / "text.pth"
    text.write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    for path in (text, tmp_path / "text.safetensors"):
        with pytest.raises(CorruptDatasetError, match="is no file of weights"):
            read_weights(path)
    for content, message in (
        ([torch.zeros(2)], "must hold a mapping"),
        ({}, "must hold a mapping"),
        ({"epoch": 3, "w": torch.zeros(2)}, "'epoch' is a int"),
    ):
        torch.save(content, text)
        with pytest.raises(CorruptDatasetError, match=message):
            read_weights(text)
    torch.save(nn.Linear(2, 2), text)  # an object, which would run code
    with pytest.raises(CorruptDatasetError, match="is no file of weights"):
        read_weights(text)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in which packages named timm and torchvision stand before the installed ones."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("raise ModuleNotFoundError(\"No module named 'timm'\")", r"siamesekit\[timm\]"),
        ("import torchvision", "torchvision must be made for the installed torch .*_ZN3c10"),
    ],
)
def test_what_is_missing_or_broken_is_named(content: str, message: str, stand_ins: Path) -> None:
    (stand_ins / "timm.py").write_text(content)
    (stand_ins / "torchvision.py").write_text("raise RuntimeError('undefined symbol: _ZN3c10')")
    with pytest.raises(PluginImportError, match=message):
        registry.get("backbones", "timm:a")


def test_operators_that_only_a_compiled_torchvision_declares_are_declared(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(
        "import torch\n"
        "for name in ('nms', 'qnms'):\n"
        "    torch.library.register_fake(f'torchvision::{name}')(lambda a, b, c: a)\n"
    )
    (tmp_path / "timm.py").write_text(
        "import torchvision\ndef list_models(): return ['a']\ndef list_pretrained(_): return []\n"
    )
    # In a process of its own: what torch has been told of it keeps.
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from siamesekit import registry\n"
        "print(registry.get('backbones', 'timm:a').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.stdout == "a\n", done.stderr
