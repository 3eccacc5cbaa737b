"""Named recipes: configured estimators, each one page of a paper, or what beats it.

Data and protocols are in ``examples/reproduce.py``, which trains and scores each of these by name.
"""

from siamesekit.backbones import ResidualNet, TurnedNet
from siamesekit.data import RandomAffine
from siamesekit.estimators import SiameseClassifier
from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import EpisodeSampler

__all__ = ["omniglot_best"]

_WAY = 20


def omniglot_best(
    max_epochs: int = 80,
    widths: tuple[int, ...] = (48, 96, 192),
    moved: int = 0,
    random_state: int = 0,
) -> SiameseClassifier:
    """Return what does best on held-out Omniglot alphabets, for images of 28×28 pixels.

    A small residual network, trained on episodes of 20 characters of one alphabet, supports by one
    drawer and queries by another, moved by affine maps. To be fitted on ``with_turns(images,
    mirrored=True)``, so that a turned character is a class of its own; embeddings then see an
    image in all its turns. About 97 · 200 images an epoch, which is Omniglot's background set.

    Parameters
    ----------
    max_epochs : int
    widths : tuple of int
        Of `ResidualNet`.
    moved : int
        Of `TurnedNet`: moved copies of each view, averaged when something is embedded.
    random_state : int
    """
    return SiameseClassifier(
        backbone=TurnedNet(ResidualNet(widths=widths), mirrored=True, moved=moved),
        head="cosine",
        loss=EpisodicLoss(way=_WAY),
        sampler=EpisodeSampler(way=_WAY, within=1.0, episodes=5, aligned=True, n_batches=97),
        augment=RandomAffine(rotation=15, shear=0.2, scale=(0.8, 1.2), translate=0.08),
        enroll_training=False,
        learning_rate=4e-3,
        averaging=0.995,
        max_epochs=max_epochs,
        random_state=random_state,
    )
