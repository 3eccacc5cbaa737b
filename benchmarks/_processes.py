"""A benchmark started as several processes that work together, as torchrun does it."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["KEPT", "in_processes"]

# glibc gives nothing back, and serves large tensors from what it kept: `docs/howto/faster.md`.
KEPT = {"MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_MMAP_THRESHOLD_": str(2**32)}


def in_processes(
    script: str, arguments: Sequence[str], size: int, *, joint: bool = True
) -> list[str]:
    """Return what each of so many processes of a script prints.

    All have one thread, and keep the memory that they free. Unless they are `joint`, each is told
    that it is the only one, and only its ``RANK`` differs.

    Raises
    ------
    SystemExit
        If one of them fails.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = size if joint else 1
    common = {**KEPT, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = []
    for rank in range(size):
        own = {**common, "RANK": rank, "OMP_NUM_THREADS": 1}
        started.append(
            subprocess.Popen(
                [sys.executable, script, *arguments],
                env=os.environ | {name: str(value) for name, value in own.items()},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process failed")
    return said
