"""A backbone around another one."""

from collections.abc import Callable
from typing import ClassVar, TypeGuard

from torch import Tensor, nn

from siamesekit import registry
from siamesekit._checks import shown
from siamesekit._types import Shape
from siamesekit.backbones.base import Backbone
from siamesekit.backbones.outputs import embeddings_in
from siamesekit.errors import InvalidParameterError, NotBuiltError

__all__ = ["Wrapper", "embedded", "is_copywise"]


class Wrapper(Backbone):
    """Its layers hold the wrapped network as their attribute ``inner``.

    Parameters
    ----------
    backbone : str, class or nn.Module
        The network: a registered one, or any that maps ``(b, *input_shape)`` to ``(b, d)``. One
        with weights starts from them.

    Raises
    ------
    InvalidParameterError
        If it is neither.

    Attributes
    ----------
    copywise : bool
        Whether in training k copies of each of the wrapped network's embeddings, side by side and
        divided by the square root of k, become k such copies of what one would. Training may then
        make one. What a subclass inherits does not count, for it may take them together.
    """

    copywise: ClassVar[bool] = False

    def __init__(self, backbone: str | type[nn.Module] | nn.Module) -> None:
        super().__init__()
        is_class = isinstance(backbone, type) and issubclass(backbone, nn.Module)
        if not isinstance(backbone, str | nn.Module) and not is_class:
            raise InvalidParameterError(
                "backbone must be a name, or a class or an instance of nn.Module; "
                f"got {shown(backbone)}."
            )
        # Not as a submodule: `layers` makes that of a copy, and weights are not to count twice.
        self.__dict__["backbone"] = backbone

    @property
    def standardised(self) -> bool:
        """Whether the wrapped network wants standardised vectors."""
        given = self.__dict__["backbone"]
        part = registry.get("backbones", given) if isinstance(given, str) else given
        return bool(getattr(part, "standardised", False))

    @property
    def inner(self) -> nn.Module:
        """The wrapped network; only once built."""
        if self.network is None:
            raise NotBuiltError(f"{type(self).__name__}: call build(input_shape) first.")
        network = self.network.inner
        assert isinstance(network, nn.Module)
        return network

    def build_inner(self, input_shape: Shape) -> nn.Module:
        """Return a new network of the kind that was given, built for `input_shape`."""
        inner: nn.Module = registry.make("backbones", self.__dict__["backbone"])
        self.channels_last = getattr(inner, "channels_last", False) is True
        return inner.build(input_shape) if isinstance(inner, Backbone) else inner

    def start(
        self,
        embed: Callable[[nn.Module], Tensor],
        labels: Tensor,
        scale: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        """Start the wrapped network; see `Backbone.start`."""
        if isinstance(self.inner, Backbone):
            self.inner.start(embed, labels, scale, offset)

    def finish(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> nn.Module:
        """Finish the wrapped network; see `Backbone.finish`."""
        inner = self.inner
        if isinstance(inner, Backbone):
            assert self.network is not None
            finished = self.network.inner = inner.finish(embed, labels)
            # The parameter says what now stands inside, or a model could not be made again.
            self.__dict__["backbone"] = _unbuilt(finished)
        return self

    def unfinish(self) -> None:
        if isinstance(self.inner, Backbone):
            self.inner.unfinish()


def is_copywise(network: nn.Module) -> TypeGuard[Wrapper]:
    """Return whether a network is a wrapper whose own class says that it is ``copywise``."""
    return isinstance(network, Wrapper) and "copywise" in vars(type(network)) and network.copywise


def embedded(network: nn.Module, x: Tensor) -> Tensor:
    """Return the embeddings of a wrapped network in float32, (b, d), whatever it puts them in."""
    output = network(x)
    if isinstance(network, Backbone):
        embeddings: Tensor = output
        return embeddings.float()
    return embeddings_in(output, network, x.shape[0])


def _unbuilt(backbone: nn.Module) -> nn.Module:
    """Return a network of the same parameters without layers."""
    if not isinstance(backbone, Backbone):
        return backbone
    return type(backbone)(**backbone.get_params(deep=False))
