"""Several processes that train one model: each embeds its share of every batch.

A run of p processes is the run of one process on the same batches, which all draw alike. Each
embeds its share, all get the embeddings of all (with a gradient), and each charges its own anchors
against everyone. The loss of the batch is the sum of what the processes charge, so the sum of their
gradients, without a factor, is its gradient: that is what every process steps by.

``DistributedDataParallel`` is not used: it divides by the number of processes (which Adam hides
and SGD does not), knows one module and one forward pass where head and loss have weights too, and
gathers nothing between embedding and comparing.
"""

import atexit
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import timedelta
from numbers import Integral
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from siamesekit._checks import first_line
from siamesekit._random import RandomState, seed_from
from siamesekit.errors import DistributedError, InvalidParameterError
from siamesekit.training.drawing import drawing_of

__all__ = ["Team", "alone", "by_the_first", "common_seed", "current", "joined", "leads"]

T = TypeVar("T")

_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_TIMEOUT = "SIAMESEKIT_DISTRIBUTED_TIMEOUT"
# Seconds that a process may be late within a step, …
_STEP = 30.0
# … and where one of them reads data, writes a file or runs what a user wrote.
_BETWEEN = 1800.0
# Seconds in which the store answers, if the process that keeps it runs at all.
_ASKING = 5.0

_TEAM: ContextVar["Team | None"] = ContextVar("siamesekit_team", default=None)
_ALONE: ContextVar[bool] = ContextVar("siamesekit_alone", default=False)
# Exchanges of two threads would meet, and be taken for one another's.
_ONE_AT_A_TIME = threading.Lock()


class Team:
    """The processes that train together, as one of them sees it.

    Every method but `own` is an exchange: all processes must call it, in the same order. Tensors
    on a GPU are exchanged through the host's memory.

    Parameters
    ----------
    number : int
        Counts the teams of this process.

    Attributes
    ----------
    rank : int
        Place of this process, from 0.
    size : int
        Number of processes.

    Raises
    ------
    DistributedError
        By each exchange, if another process failed, died, or did not come in time. The message has
        the other's error as far as it is known.
    """

    def __init__(self, number: int) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.timeout = _seconds()
        self._generator: torch.Generator | None = None
        self._key = f"siamesekit/{number}/left"
        self._store = dist.distributed_c10d._get_default_store()
        # Two groups, as the first process alone heeds what a barrier is told of time: the others
        # wait for as long as their group says. The patient one is where a late process is met.
        self._patient, self._group = self._new_group(_BETWEEN), self._new_group(self.timeout)

    def _new_group(self, seconds: float) -> Any:
        with self._explaining(seconds):
            return dist.new_group(backend="gloo", timeout=timedelta(seconds=seconds))

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def own(self, n: int) -> slice:
        """Return the place of this process's share of `n` things; shares differ by one at most."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def draw_alike(self, generator: torch.Generator) -> None:
        """Let what each process computes of the whole batch draw from here on from `generator`.

        Parameters
        ----------
        generator : torch.Generator
            In the same state on each.
        """
        self._generator = generator

    def drawing(self, loss: nn.Module, miner: object) -> AbstractContextManager[None]:
        """Return a block in which a loss and a miner draw the same in every process."""
        if self._generator is None:
            return nullcontext()
        return drawing_of(self._generator, loss, miner)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, without a gradient, bit for bit the same on each."""
        total = values.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        with self._explaining():
            dist.all_reduce(total, group=self._group)
        return total.to(values.device)

    def gather(self, own: Tensor, rows: slice, n: int) -> Tensor:
        """Return the rows of all processes; each gets the gradient that all have of its own.

        Parameters
        ----------
        own : Tensor, shape (r, …)
        rows : slice
            Place of these rows among all; those of the processes make up ``0 .. n - 1``.
        n : int

        Returns
        -------
        Tensor, shape (n, …)
        """
        gathered: Tensor = _Gather.apply(own, self, rows, n)  # type: ignore[no-untyped-call]
        return gathered

    def sum_gradients(self, weights: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Give each weight the sum of its gradients; one that nowhere has any keeps none.

        Parameters
        ----------
        weights : sequence of Parameter
        loss : Tensor of float, shape ()

        Returns
        -------
        Tensor
            The sum of the losses, which is exchanged with them.

        Raises
        ------
        InvalidParameterError
            If a gradient is sparse.
        """
        for weight in weights:
            if weight.grad is not None and weight.grad.layout != torch.strided:
                raise InvalidParameterError(
                    "several processes cannot train weights with sparse gradients; give the "
                    "embedding layer sparse=False."
                )
        some = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        known = torch.tensor([float(w.grad is not None) for w in weights], device=loss.device)
        *totals, owners, whole = self._sums([*some, known, loss.detach()])
        for weight, total, n in zip(weights, totals, owners.tolist(), strict=True):
            weight.grad = total if n else None
        return whole

    def _sums(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the sums over the processes of tensors, those of one type at once."""
        sums: list[Tensor] = list(tensors)
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            places = [k for k, t in enumerate(tensors) if t.dtype == dtype]
            total = self.sum(torch.cat([tensors[k].reshape(-1) for k in places]))
            parts = torch.split(total, [tensors[k].numel() for k in places])
            for k, part in zip(places, parts, strict=True):
                # In the order in memory that the weight has.
                sums[k] = torch.empty_like(tensors[k]).copy_(part.view(tensors[k].shape))
        return sums

    @torch.no_grad()
    def same_state(self, module: nn.Module) -> None:
        """Give a module, in place, the weights and buffers that it has on the first process."""
        values = [*module.parameters(), *module.buffers()]
        self.agree({"the network": str([(v.dtype, tuple(v.shape)) for v in values])})
        for value in values:
            host = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            with self._explaining():
                dist.broadcast(host, group=self._group, group_src=0)
            if not self.leads:
                value.copy_(host)

    def wait(self) -> None:
        """Return when all processes have come; they may take long."""
        with self._explaining(_BETWEEN):
            dist.monitored_barrier(self._patient, timeout=timedelta(seconds=_BETWEEN))

    def first(self, call: Callable[[], T]) -> T:
        """Return, on each process, what `call` returns on the first, or raise what it raises.

        Parameters
        ----------
        call : callable
            Run by the first process alone. What it returns must be picklable.
        """
        value: Any = None
        failure: Exception | None = None
        if self.leads:
            try:
                value = call()
            except Exception as error:
                failure = error
        self.wait()
        box = [_that_can_be_sent(value, failure) if self.leads else b""]
        with self._explaining():
            dist.broadcast_object_list(box, group=self._group, group_src=0)
        if not self.leads:
            value, failure = pickle.loads(box[0])
        if failure is not None:
            raise failure
        return value  # type: ignore[no-any-return]

    def agree(self, marks: Mapping[str, str]) -> None:
        """Raise `DistributedError` on each process unless all were given the same.

        Parameters
        ----------
        marks : mapping of str to str
            What is compared, and a digest of it.
        """
        self.wait()
        everyone: list[Any] = [None] * self.size
        with self._explaining():
            dist.all_gather_object(everyone, dict(marks), group=self._group)
        found = []
        for rank, own in enumerate(everyone):
            names = own.keys() | everyone[0].keys()
            differing = sorted(k for k in names if own.get(k) != everyone[0].get(k))
            if differing:
                found.append(f"process {rank} differs in {', '.join(differing)}")
        if found:
            raise DistributedError(
                f"the processes were not given the same: from process 0 {'; '.join(found)}. Give "
                "each the same data and arguments; each takes its own share of every batch."
            )

    def leave(self, error: BaseException | None = None) -> None:
        """End the team; the others learn of `error` at their next exchange, if there is one."""
        if error is not None and not isinstance(error, DistributedError):
            text = str(error).rstrip(".")
            said = f"process {self.rank} failed: {type(error).__name__}: {text}"
            _in_time(lambda: self._store.set(self._key, said))
        elif error is None:
            with suppress(DistributedError):
                self.wait()
        groups = self._group, self._patient
        self._group = self._patient = None
        # Closes the connections, by which the others know.
        for group in groups:
            with suppress(Exception):
                dist.destroy_process_group(group)

    @contextmanager
    def _explaining(self, limit: float | None = None) -> Iterator[None]:
        """Let what goes wrong in an exchange be an error that says which process is missing.

        Within a step, unless `limit` says how many seconds it may take.
        """
        try:
            yield
        except RuntimeError as error:  # torch's own errors of this kind derive from it
            raise DistributedError(
                f"process {self.rank} of {self.size} waits in vain: "
                f"{self._why(error, limit or self.timeout)}. The "
                "training ends here; with a checkpoint it goes on from the last one written."
            ) from error

    def _why(self, error: RuntimeError, limit: float) -> str:
        said = _in_time(lambda: self._store.check([self._key]) and self._store.get(self._key))
        if said:
            return str(said.decode())
        return f"another process died, or did not come within {limit:g} s ({first_line(error)})"


class _Gather(torch.autograd.Function):
    """Rows of all processes; the gradient of each row is the sum of those of all processes."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, team: Team, rows: slice, n: int) -> Tensor:
        ctx.team, ctx.rows = team, rows
        # A sum with zeros: shares may differ in size, and every backend can add.
        everyone = own.new_zeros(n, *own.shape[1:])
        everyone[rows] = own
        return team.sum(everyone)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.team.sum(grads[0])[ctx.rows], None, None, None


def current() -> Team | None:
    """Return the team that this thread works in; None where it works alone."""
    return None if _ALONE.get() else _TEAM.get()


def leads() -> bool:
    """Return whether this process is the one to write and print: the first, or the only one.

    Several are those of which `joined` speaks; nothing is exchanged to know it.

    Raises
    ------
    DistributedError
        If what ``torchrun`` sets is no number.
    """
    if not _are_several():
        return True
    return (dist.get_rank() if dist.is_initialized() else int(os.environ["RANK"])) == 0


def by_the_first(team: Team | None, call: Callable[[], T]) -> T:
    """Return what `call` returns in the first of the processes, or where there is only this."""
    return call() if team is None else team.first(call)


def common_seed(random_state: RandomState) -> int:
    """Return a seed as `seed_from` does; one that is drawn is the first process's draw."""
    seed, team = seed_from(random_state), current()
    if team is None or isinstance(random_state, Integral):
        return seed
    return team.first(lambda: seed)


@contextmanager
def alone() -> Iterator[None]:
    """Run a block that exchanges nothing, such as what a user wrote, which may differ by rank."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


@contextmanager
def joined() -> Iterator[Team | None]:
    """Run a block in which the processes of ``torchrun`` work together, if there are several.

    ``fit`` does so by itself. Outside of it, `transform`, `enroll` and all else that embeds items
    share the work only in such a block, which all processes must enter, with the same items::

        with joined():
            vectors = classifier.transform(X)

    The processes are those of the default process group of ``torch.distributed``, or where there
    is none, those that the variables of ``torchrun`` name (``RANK``, ``WORLD_SIZE``,
    ``MASTER_ADDR``, ``MASTER_PORT``).

    Yields
    ------
    Team or None
        None where there is one process.

    Raises
    ------
    DistributedError
        On each process, if another one fails, dies, is late by more than 30 s within a step
        (environment variable ``SIAMESEKIT_DISTRIBUTED_TIMEOUT``, in seconds), or was not given the
        same. Also if another thread of this process is in such a block.
    """
    if _TEAM.get() is not None or _ALONE.get() or not _are_several():
        yield current()
        return
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise DistributedError(
            "another thread of this process trains together with the other processes; only one "
            "can at a time."
        )
    try:
        team = _new_team()
        token = _TEAM.set(team)
        try:
            yield team
        except BaseException as error:
            team.leave(error)
            raise
        else:
            team.leave()
        finally:
            _TEAM.reset(token)
    finally:
        _ONE_AT_A_TIME.release()


_teams = 0


def _new_team() -> Team:
    global _teams
    if not dist.is_initialized():
        _initialise()
    _teams += 1
    return Team(_teams)


def _are_several() -> bool:
    if not dist.is_available():
        return False
    if dist.is_initialized():
        return dist.get_world_size() > 1
    if not all(name in os.environ for name in _OF_TORCHRUN):
        return False
    for name in ("RANK", "WORLD_SIZE"):
        if not os.environ[name].isdecimal():
            raise DistributedError(
                f"environment variable {name} must be a number, as torchrun sets it; "
                f"got {os.environ[name]!r}."
            )
    return int(os.environ["WORLD_SIZE"]) > 1


def _initialise() -> None:
    """Make the default process group, which stays until the process ends."""
    try:
        dist.init_process_group("gloo", timeout=timedelta(seconds=_BETWEEN))
    except (RuntimeError, ValueError) as error:
        raise DistributedError(
            f"the processes that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT name cannot join: "
            f"{first_line(error)}"
        ) from error
    atexit.register(_finish)
    here = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available() and here < torch.cuda.device_count():
        # "cuda" is then this process's own card.
        torch.cuda.set_device(here)


def _finish() -> None:
    with suppress(Exception):
        dist.destroy_process_group()


def _seconds() -> float:
    said = os.environ.get(_TIMEOUT)
    if said is None:
        return _STEP
    with suppress(ValueError):
        seconds = float(said)
        if 0 < seconds < 1e6:
            return seconds
    raise DistributedError(
        f"environment variable {_TIMEOUT} must be a number of seconds above 0; got {said!r}."
    )


def _in_time(call: Callable[[], T]) -> T | None:
    """Return what a question to the store returns; None if it fails, or is not answered.

    The store has no time limit of its own: where the process that keeps it is stopped, a question
    is left behind in a thread that does not keep this process alive.
    """
    found: list[T] = []

    def ask() -> None:
        with suppress(Exception):
            found.append(call())

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_ASKING)
    return found[0] if found else None


def _that_can_be_sent(value: object, failure: Exception | None) -> bytes:
    try:
        sent = pickle.dumps((value, failure))
        pickle.loads(sent)  # some errors can be written and not read
        return sent
    except Exception:
        if failure is None:
            raise
        said = f"process 0 failed: {type(failure).__name__}: {failure}"
        return pickle.dumps((None, DistributedError(said)))
