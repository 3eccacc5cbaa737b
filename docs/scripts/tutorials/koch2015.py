"""
Koch 2015: Siamese networks for one-shot recognition
====================================================

Koch, Zemel and Salakhutdinov showed in 2015 that a network which only ever learnt *same or
different* recognises letters of alphabets it has never seen, from one example each. Here is their
setup, part by part, then in small; what it comes to in full size stands in :doc:`/results`.
"""

# %%
# The paper, as a line of four words
# ----------------------------------
#
# *Embed* by four large convolutions and a sigmoid layer, *compare* by weighted absolute
# differences, *choose* pairs, half of them of one character, *charge* by cross-entropy.

import numpy as np
from _font_glyphs import load_font_glyphs

from siamesekit import SiameseClassifier, plots, recipes
from siamesekit.backbones import KochNet
from siamesekit.data import RandomAffine
from siamesekit.evaluation import episode_accuracy
from siamesekit.heads import CosineHead, L1Head

recipe = recipes.koch2015()
print(f"{recipe.backbone}, head {recipe.head!r}, {recipe.loss}, {recipe.optimizer}")

network = KochNet().build((1, 105, 105))
weights = sum(p.numel() for p in network.parameters())
head = L1Head().build(4096)
print(f"{weights + sum(p.numel() for p in head.parameters()):,} weights")

# %%
# In small
# --------
#
# A step of the paper's network takes seconds on a processor, and it takes tens of thousands. Here
# are 28×28 pixels in place of 105×105, a network of the same kind, and letters of the fonts that
# matplotlib installs, warped as if drawn by hand, in place of Omniglot: five scripts to learn from,
# two to be asked about.

glyphs = load_font_glyphs(size=28, random_state=0)
learn = np.isin(glyphs.groups, ["Latin", "Greek", "Cyrillic", "Hebrew", "Georgian"])
asked = np.isin(glyphs.groups, ["Armenian", "Lao"])
X, y, scripts = glyphs.X[learn], glyphs.y[learn], glyphs.groups[learn]
print(f"{len(X):,} drawings of {len(np.unique(y))} letters to learn from, {asked.sum():,} to ask")

# %%
# The affine maps of the paper (§3.3), four for each of six letters:

import torch

letters = torch.from_numpy(X[:: len(X) // 6][:6])[:, None].float() / 255
maps = RandomAffine.koch2015()
moved = [letters] + [maps(letters, torch.Generator().manual_seed(k)) for k in range(4)]
sheet = torch.cat([torch.cat(list(row[:, 0]), 1) for row in moved]).numpy()
from matplotlib.figure import Figure

figure = Figure(figsize=(6, 5))
axes = figure.add_axes((0, 0, 1, 1))
axes.imshow(sheet, cmap="gray_r")
axes.set_axis_off()

# %%
# By pairs, as in the paper
# -------------------------

SMALL = {"filters": (32, 64, 64, 128), "kernels": (5, 3, 2, 2), "units": 512}
common = {"head": "l1", "augment": RandomAffine.koch2015(), "enroll_training": False,
          "optimizer": "adam", "random_state": 0}  # fmt: skip
pairs = SiameseClassifier(
    backbone=KochNet(**SMALL, init="trainable"),
    loss="bce",
    sampler="pairs",
    learning_rate=1e-3,
    max_epochs=8,
    **common,
).set_params(sampler__batch_size=128, sampler__n_pairs=2000)
pairs.fit(X, y, scripts)


def one_shot(embeddings, scorer, name, estimator=None):
    """Ask 20-way one-shot tasks within a script, supports by one writer, queries by another."""
    result = episode_accuracy(
        embeddings, glyphs.y[asked], scorer=scorer, groups=glyphs.groups[asked], within=True,
        drawers=glyphs.drawers[asked], n_episodes=200, random_state=0, estimator=estimator,
    )  # fmt: skip
    low, high = result.interval
    print(f"{name:24} {result.value:.1%} [{low:.1%}, {high:.1%}]; chance {result.chance:.0%}")


one_shot(glyphs.X[asked].reshape(asked.sum(), -1) / 255, CosineHead(), "cosine of pixels")
one_shot(pairs.transform(glyphs.X[asked]), pairs.head_, "pairs", pairs)

# %%
# By all pairs of a batch
# -----------------------
#
# The same network and head. A batch of 40 images has 780 pairs, and costs 40 passes through the
# network where two towers would need 1,560; each image is classified among the others by its
# scores. That is what the recipe ``koch_allpairs`` does at full size.

from siamesekit.losses import EpisodicLoss
from siamesekit.samplers import EpisodeSampler

all_pairs = SiameseClassifier(
    backbone=KochNet(**SMALL, init="trainable", batch_norm=True),
    loss=EpisodicLoss(way=20, temperature=1.0),
    sampler=EpisodeSampler(way=20, within=1.0, n_batches=50),
    learning_rate=1e-3,
    max_epochs=8,
    **common,
).fit(X, y, scripts)
one_shot(all_pairs.transform(glyphs.X[asked]), all_pairs.head_, "all pairs of a batch", all_pairs)

# %%
figure = plots.plot_history(all_pairs.history_)

# %%
# At full size, from the 30 background alphabets of Omniglot: 93.0 % of Lake's 400 trials after two
# hours on a processor (the paper: 92.0 % with 40 alphabets).
# ``examples/reproduce.py koch_allpairs`` trains and scores it, goes on where it was stopped, and
# writes what :doc:`/results` shows.
