"""The plugins of ``examples/plugins``, installed by pip for the time of the tests."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "examples" / "plugins"


@pytest.fixture(scope="session")
def installed_plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder into which pip installed every plugin package, on the path of this process."""
    sources = tmp_path_factory.mktemp("sources")
    # pip builds where the source is, and leaves its traces there.
    packages = [shutil.copytree(p.parent, sources / p.parent.name) for p in _projects()]
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Their dependencies are the test extra's; setuptools, which builds them, is among those.
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *options, *map(str, packages)], check=True, timeout=300)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield site
    for name in [name for name in sys.modules if name.startswith("siamesekit_")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _projects() -> list[Path]:
    return sorted(PLUGINS.glob("*/pyproject.toml"))
