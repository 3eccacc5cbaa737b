"""What did best on held-out characters."""

from torch import nn

from siamesekit._checks import check_flag, check_integers, shown
from siamesekit._random import RandomState
from siamesekit.backbones import ResidualNet, TurnedNet, WhitenedNet
from siamesekit.data import RandomPen
from siamesekit.errors import InvalidParameterError
from siamesekit.estimators import SiameseClassifier
from siamesekit.losses import EpisodicLoss
from siamesekit.recipes._shared import WAY, checked, hand_moved
from siamesekit.samplers import EpisodeSampler

__all__ = ["omniglot_any_pen", "omniglot_best", "vinyals", "vinyals_any_pen"]


def omniglot_best(
    max_epochs: int = 80,
    widths: tuple[int, ...] = (48, 96, 192),
    random_state: RandomState = 0,
    start: str | None = None,
    whitened: bool = True,
) -> SiameseClassifier:
    """Return what did best on held-out Omniglot alphabets, for images of 28×28 pixels.

    A small residual network, trained on episodes of 20 characters of one alphabet, supports by one
    drawer and queries by another, moved by affine maps; the learning rate rises over a tenth of
    the steps and falls along a cosine. To be fitted on ``with_turns(images, mirrored=True)``, so
    that a turned character is a class of its own; embeddings then see an image in all its turns,
    whitened by the covariance within classes. An epoch shows 97 · 200 images, as many as the
    background set has.

    The model ``SiameseClassifier.from_pretrained("omniglot-28")`` is of this recipe with
    ``whitened=False``: its whitening would be 38 MB of numbers beside 3 MB of weights.

    Parameters
    ----------
    max_epochs : int
    widths : tuple of int
        Of `ResidualNet`.
    random_state : int, Generator or None
    start : str, optional
        Go on from this model in the box (``"omniglot-28"``, trained on the 30 background alphabets)
        at a quarter of the learning rate; its widths count.
    whitened : bool
        Fit a whitening by the covariance within classes once training is over (`WhitenedNet`).

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        If an argument is not allowed, or there is no such model.
    """
    check_flag("whitened", whitened)
    network = ResidualNet(widths=widths) if start is None else _network_in_the_box(start)
    return checked(
        SiameseClassifier(
            backbone=TurnedNet(WhitenedNet(network) if whitened else network, mirrored=True),
            head="cosine",
            loss=EpisodicLoss(way=WAY),
            sampler=EpisodeSampler(way=WAY, within=1.0, episodes=5, aligned=True, n_batches=97),
            augment=hand_moved(),
            enroll_training=False,
            learning_rate=4e-3 if start is None else 1e-3,
            schedule="one-cycle",
            averaging=0.995,
            max_epochs=max_epochs,
            random_state=random_state,
        )
    )


def omniglot_any_pen(
    max_epochs: int = 100,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    dim: int = 64,
    random_state: RandomState = 0,
    start: str | None = None,
    blocks: int | tuple[int, ...] | None = None,
) -> SiameseClassifier:
    """Return the recipe of the model in the box, for drawings of 56×56 pixels by any pen.

    As `omniglot_best`, but at twice the pixels along a side, where small marks stay; trained on
    strokes of every width, blurred and weak ones among them, bent as another hand would draw
    them (`RandomPen`); not whitened. Its embeddings have ``8 dim`` numbers.

    Parameters
    ----------
    max_epochs : int
    widths : tuple of int
        Of `ResidualNet`.
    dim : int
        Numbers of the embedding in each turn.
    random_state : int, Generator or None
    start : str, optional
        Go on from this model in the box (``"omniglot"``, of this recipe), as `omniglot_best` does;
        its widths, its blocks and its embedding count.
    blocks : int or tuple of int, optional
        Of `ResidualNet`. By default 1 in the first and in the last stage, and 2 in those between.

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        As of `omniglot_best`.
    """
    recipe = omniglot_best(max_epochs, random_state=random_state, start=start, whitened=False)
    if start is None:
        if blocks is None:
            last = len(check_integers("widths", widths, low=1)) - 1
            blocks = tuple(1 + (0 < stage < last) for stage in range(last + 1))
        network = ResidualNet(widths=widths, blocks=blocks, dim=dim)
        recipe.set_params(backbone=TurnedNet(network, mirrored=True))
    return recipe.set_params(
        # A canvas of 56 pixels is fine as it is.
        augment=RandomPen(width=(0.0, 0.12), scale=(0.75, 1.3), fine=1, bend=0.04),
    )


def vinyals(
    max_epochs: int = 80,
    widths: tuple[int, ...] = (48, 96, 192),
    random_state: RandomState = 0,
    start: str | None = None,
) -> SiameseClassifier:
    """Return `omniglot_best` for episodes across alphabets, as Vinyals et al. [1]_ draw them.

    Every other episode mixes alphabets. To be fitted on turned copies, as `omniglot_best`.

    Parameters
    ----------
    max_epochs : int
    widths : tuple of int
    random_state : int, Generator or None
    start : str, optional
        As for `omniglot_best`.

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        As of `omniglot_best`.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016, §4.1.1.
    """
    return _across(omniglot_best(max_epochs, widths, random_state=random_state, start=start))


def vinyals_any_pen(
    max_epochs: int = 100, random_state: RandomState = 0, start: str | None = None
) -> SiameseClassifier:
    """Return `omniglot_any_pen` for episodes across alphabets, as `vinyals` is `omniglot_best`.

    Parameters
    ----------
    max_epochs : int
    random_state : int, Generator or None
    start : str, optional
        As for `omniglot_any_pen`.

    Returns
    -------
    SiameseClassifier
        Not fitted.

    Raises
    ------
    InvalidParameterError
        As of `omniglot_best`.
    """
    return _across(omniglot_any_pen(max_epochs, random_state=random_state, start=start))


def _across(recipe: SiameseClassifier) -> SiameseClassifier:
    """Return the recipe with every other episode across alphabets, by drawers of any kind."""
    return recipe.set_params(sampler__within=0.5, sampler__aligned=False)


def _network_in_the_box(name: object) -> nn.Module:
    if not isinstance(name, str):
        raise InvalidParameterError(
            f"start must be None or the name of a model; got {shown(name)}."
        )
    turned = SiameseClassifier.from_pretrained(name, device="cpu").backbone_
    assert isinstance(turned, TurnedNet)
    return turned.inner
