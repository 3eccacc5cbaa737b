"""A backbone around another one."""

from collections.abc import Callable

from torch import Tensor, nn

from siamesekit import registry
from siamesekit._types import Shape
from siamesekit.backbones.base import Backbone
from siamesekit.errors import InvalidParameterError, NotBuiltError

__all__ = ["Wrapper"]


class Wrapper(Backbone):
    """Its layers hold the wrapped network as their attribute ``inner``.

    Parameters
    ----------
    backbone : str, class or Backbone
        The network. One with weights starts from them.
    """

    def __init__(self, backbone: str | type[Backbone] | Backbone) -> None:
        super().__init__()
        if isinstance(backbone, nn.Module) and not isinstance(backbone, Backbone):
            raise InvalidParameterError(
                f"backbone must be a name, or a class or an instance of Backbone; got {backbone!r}."
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
    def inner(self) -> Backbone:
        """The wrapped network; only once built."""
        if self.network is None:
            raise NotBuiltError(f"{type(self).__name__}: call build(input_shape) first.")
        network = self.network.inner
        assert isinstance(network, Backbone)
        return network

    def build_inner(self, input_shape: Shape) -> Backbone:
        """Return a new network of the kind that was given, built for `input_shape`."""
        inner: Backbone = registry.make("backbones", self.__dict__["backbone"]).build(input_shape)
        return inner

    def settle(self, embed: Callable[[nn.Module], Tensor], labels: Tensor) -> None:
        self.inner.settle(embed, labels)

    def unsettle(self) -> None:
        self.inner.unsettle()
