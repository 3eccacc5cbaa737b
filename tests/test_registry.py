"""Parts by name: built-ins, and plugins of made-up distributions."""

import subprocess
import sys
from pathlib import Path

import pytest

from siamesekit import describe, list_parts, registry
from siamesekit.data import RandomAffine
from siamesekit.errors import (
    InvalidParameterError,
    PluginConflictError,
    PluginImportError,
    UnknownPartError,
)
from siamesekit.heads import CosineConcatHead, CosineHead
from siamesekit.miners import SemihardTriplets


class Shop:
    """A folder on sys.path into which made-up distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, dist: str, kind: str, name: str, value: str, code: str, group: str = "siamesekit.{}"
    ) -> None:
        module = value.split(":")[0]
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group.format(kind)}]\n{name} = {value}\n")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.syspath_prepend(tmp_path)
    return Shop(tmp_path)


HEAD = """
from siamesekit.heads import CosineHead
class ShopHead(CosineHead):
    def __init__(self, sharpness=2.0):
        super().__init__()
        self.sharpness = sharpness
"""


def test_a_plugin_is_found_by_name_with_its_parameters(shop: Shop) -> None:
    shop.install("good-shop", "heads", "shop", "good_shop_heads:ShopHead", HEAD)
    assert "shop" in registry.names("heads")
    assert "shop" not in registry.names("heads", plugins=False)
    head = registry.create("heads", "shop", sharpness=3.0)
    assert head.sharpness == 3.0
    assert registry.name_of("heads", head) == "shop"


def test_listing_names_imports_no_plugin(shop: Shop) -> None:
    shop.install("lazy-shop", "heads", "lazy", "lazy_shop_heads:ShopHead", HEAD)
    shop.install("lazy-other", "heads", "lazy-two", "lazy_other_heads:ShopHead", HEAD)
    registry.names("heads")
    assert "lazy_shop_heads" not in sys.modules
    registry.get("heads", "lazy")
    assert "lazy_shop_heads" in sys.modules
    assert "lazy_other_heads" not in sys.modules


def test_a_failing_plugin_is_named_and_leaves_the_others_alone(shop: Shop) -> None:
    shop.install("bad-shop", "heads", "bad", "bad_shop_heads:X", "import no_such_module_at_all")
    shop.install("fine-shop", "heads", "fine", "fine_shop_heads:ShopHead", HEAD)
    with pytest.raises(PluginImportError, match=r"bad-shop.*no_such_module_at_all"):
        registry.get("heads", "bad")
    assert registry.get("heads", "fine").__name__ == "ShopHead"
    assert registry.get("heads", "cosine").__name__ == "CosineHead"


def test_two_distributions_that_claim_one_name_are_both_named(shop: Shop) -> None:
    shop.install("shop-a", "heads", "twice", "shop_a_heads:ShopHead", HEAD)
    shop.install("shop-b", "heads", "twice", "shop_b_heads:ShopHead", HEAD)
    with pytest.raises(PluginConflictError, match=r"shop-a.*shop-b"):
        registry.get("heads", "twice")


def test_a_built_in_wins_over_a_plugin_and_says_so(shop: Shop) -> None:
    shop.install("greedy", "heads", "cosine", "greedy_heads:ShopHead", HEAD)
    with pytest.warns(UserWarning, match="greedy"):
        assert registry.get("heads", "cosine").__name__ == "CosineHead"


def test_a_plugin_that_is_no_class_is_refused(shop: Shop) -> None:
    shop.install("odd-shop", "heads", "odd", "odd_shop_heads:x", "x = 3")
    with pytest.raises(PluginImportError, match="must be a class"):
        registry.get("heads", "odd")


def test_an_unknown_name_gets_near_matches() -> None:
    with pytest.raises(UnknownPartError, match=r"'tripet'.*Did you mean 'triplet'"):
        registry.get("losses", "tripet")


def test_a_misspelt_parameter_is_refused_with_near_matches() -> None:
    with pytest.raises(InvalidParameterError, match=r"'margn'.*Did you mean 'margin'"):
        registry.create("losses", "triplet", margn=0.3)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"kind must be one of.*Did you mean 'heads'"):
        registry.names("head")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(InvalidParameterError, match=r"taken already: .*CosineHead"):
        registry.register("heads", "cosine")(CosineConcatHead)


@pytest.mark.parametrize("kind", list(registry.KINDS))
def test_every_built_in_is_found_again_by_its_instance(kind: str) -> None:
    for name in registry.names(kind, plugins=False):
        if ":" not in name:
            assert registry.name_of(kind, registry.create(kind, name)) == name


def test_importing_the_package_scans_for_no_plugin() -> None:
    # torch looks for its own plugins; ours are to wait until one is named.
    code = (
        "import importlib.metadata as m\n"
        "real = m.entry_points\n"
        "def watch(**kwargs):\n"
        "    assert not kwargs.get('group', 'siamesekit').startswith('siamesekit'), 'scanned'\n"
        "    return real(**kwargs)\n"
        "m.entry_points = watch\n"
        "import siamesekit"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_same_class_may_be_registered_again_as_when_a_cell_runs_twice() -> None:
    code = (
        "from siamesekit.registry import register\nfrom siamesekit.heads import CosineHead\n"
        "@register('heads', 'of-a-notebook')\nclass MyHead(CosineHead):\n    pass\n"
    )
    cell: dict[str, object] = {"__name__": "__main__"}
    try:
        exec(code, cell)
        first = cell["MyHead"]
        exec(code, cell)
        assert registry.get("heads", "of-a-notebook") is cell["MyHead"] is not first
        with pytest.raises(InvalidParameterError, match=r"already: __main__\.MyHead"):
            registry.register("heads", "of-a-notebook")(CosineHead)
    finally:
        registry._builtins["heads"].pop("of-a-notebook", None)


def test_a_plugin_given_as_an_instance_is_found_though_its_name_was_never_asked_for(
    shop: Shop,
) -> None:
    shop.install("quiet-shop", "heads", "quiet", "quiet_shop_heads:ShopHead", HEAD)
    import quiet_shop_heads  # type: ignore[import-not-found]

    assert registry.name_of("heads", quiet_shop_heads.ShopHead(3.0)) == "quiet"
    assert registry.name_of("heads", quiet_shop_heads.ShopHead) == "quiet"


def test_a_failing_neighbour_is_no_hindrance_to_name_of(shop: Shop) -> None:
    shop.install("pair-a", "heads", "pair-a", "pair_shop:ShopHead", HEAD)
    shop.install("pair-b", "heads", "pair-b", "pair_shop:NoSuchHead", HEAD)
    import pair_shop  # type: ignore[import-not-found]

    assert registry.name_of("heads", pair_shop.ShopHead()) == "pair-a"


@pytest.mark.parametrize(
    "group",
    [
        "siamesekit.losss",
        "siamese-kit.losses",
        "siamesekit.heads",
        "SiameseKit.Losses",
        "siameskit_losses",
        "siamesekit.plugins",
    ],
)
def test_a_misspelt_entry_point_group_is_named(group: str, shop: Shop) -> None:
    shop.install("stray-shop", "losses", "stray", "stray_shop:X", "", group=group)
    with pytest.raises(UnknownPartError, match=rf"'stray-shop' 1\.0 offers .*'{group}'"):
        registry.get("losses", "stray")


@pytest.mark.parametrize("name", [None, 5, ["cosine"], b"cosine"])
def test_a_name_that_is_no_string_is_refused(name: object) -> None:
    with pytest.raises(InvalidParameterError, match="name must be a string"):
        registry.get("heads", name)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="name must be a string"):
        registry.register("heads", name)  # type: ignore[arg-type]


class NeedsSize(CosineHead):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("heads", 5, r"head must be a name, or a class or an instance of Head; got 5"),
        ("heads", None, r"head must be a name"),
        ("losses", CosineHead(), r"loss must be a name, or a class or an instance of Loss"),
        ("miners", int, r"miner must be a name, or a class or an instance of Miner; got 0"),
        ("augmentations", 3, r"augment must be a name"),
        ("readers", 3, r"reader must be a name"),
        ("heads", NeedsSize, r"head=NeedsSize cannot be made without arguments"),
        ("hats", "cosine", r"kind must be one of"),
    ],
)
def test_what_is_no_part_of_a_kind_is_refused(kind: str, spec: object, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        registry.make(kind, spec)


def test_augmentations_are_a_kind() -> None:
    assert "affine" in registry.names("augmentations")
    assert isinstance(registry.create("augmentations", "affine", rotation=3.0), RandomAffine)
    assert registry.names("readers") == sorted(registry.names("readers"))


def test_parts_are_listed_with_their_distribution_and_no_plugin_is_imported(shop: Shop) -> None:
    shop.install("listed-shop", "heads", "listed", "listed_shop:ShopHead", HEAD)
    (part,) = list_parts("heads", "listed")
    assert (part.origin, part.summary) == ("listed-shop 1.0", "")
    assert "listed_shop" not in sys.modules
    assert describe("heads", "listed").parameters == {"sharpness": 2.0}
    assert "listed-shop 1.0" in str(describe("heads", "listed"))


@pytest.mark.parametrize("group", ["losses", "sklearn.losses", "my_kit.samplers", "pytest11"])
def test_a_group_of_another_package_is_none_of_this_one(group: str, shop: Shop) -> None:
    shop.install("other-shop", "losses", "other", "other_shop:X", "", group=group)
    assert not any("other-shop" in said for said in registry.strays())


@pytest.mark.parametrize(
    ("kind", "cls", "base"),
    [
        ("losses", int, "Loss"),
        ("heads", SemihardTriplets, "Head"),
        ("readers", dict, "Callable"),
        ("backbones", CosineHead, None),
    ],
)
def test_what_is_registered_is_of_its_kind(kind: str, cls: type, base: str | None) -> None:
    class Own(cls):
        pass

    try:
        if base is None:  # a head is a network, too
            assert registry.register(kind, "own")(Own) is Own
        else:
            with pytest.raises(InvalidParameterError, match=rf"'own' of {kind} must be .*:{base};"):
                registry.register(kind, "own")(Own)
            assert "own" not in registry.names(kind)
    finally:
        registry._builtins[kind].pop("own", None)


def test_listing_parts_warns_of_a_misspelt_group(shop: Shop) -> None:
    shop.install("lost-shop", "losses", "lost", "lost_shop:X", "", group="siamesekit.losss")
    with pytest.warns(UserWarning, match=r"'lost-shop' 1\.0 .*Did you mean 'siamesekit\.losses'"):
        list_parts("losses")
