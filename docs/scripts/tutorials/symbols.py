"""
Symbols: a new class from one drawing
=====================================

A keyboard for a script nobody trained on: each letter is enrolled by one drawing, others are
recognised, a letter is added at any time, and what is none of these letters is refused.

The letters are those of the fonts that matplotlib installs, each warped by a map of its own as if
drawn by hand (``examples/_font_glyphs.py``): a typeface plays the writer. The model is the one in
the box. It learnt to compare on Omniglot, and has seen none of these drawings.
"""

# %%
import numpy as np
import torch
from _font_glyphs import load_font_glyphs

from siamesekit import SiameseClassifier, plots
from siamesekit.evaluation import cosine_similarity

glyphs = load_font_glyphs(size=28, distortion=0.5, random_state=0)
print(f"{len(glyphs):,} drawings of {len(np.unique(glyphs.y))} letters")


def drawings(chosen):
    """Return pixels and names; the model knows strokes of any width, those of print too."""
    return glyphs.X[chosen], glyphs.y[chosen]


# %%
# Enrol letters by one drawing each
# ---------------------------------

letters = np.unique(glyphs.y[glyphs.groups == "Georgian"])[::4]
writers = np.unique(glyphs.drawers[glyphs.groups == "Georgian"])
ours = np.isin(glyphs.y, letters)
X_one, y_one = drawings(ours & (glyphs.drawers == writers[0]))
X, y = drawings(ours & (glyphs.drawers != writers[0]))

clf = SiameseClassifier.from_pretrained("omniglot")
clf.enroll(X_one, y_one)
right = clf.predict(X) == y
print(f"{len(clf.classes_)} letters, {len(y)} drawings by other writers: {right.mean():.0%} right")

# %%
# What would comparing pixels have done? The same question, asked of a cosine:


def pixels(images):
    return torch.from_numpy(images.reshape(len(images), -1)).float()


nearest = cosine_similarity(pixels(X), pixels(X_one)).argmax(1).numpy()
print(f"cosine of pixels: {(y_one[nearest] == y).mean():.0%}; chance: {1 / len(y_one):.0%}")

# %%
# One of the drawings beside all enrolled letters, the most alike first; green is the right one.

scores = clf.similarity(X[[7]], X_one)[0]
figure = plots.plot_one_shot_task(X_one, X[7], scores, int(np.flatnonzero(y_one == y[7])[0]))

# %%
# A letter more
# -------------
#
# One drawing is enough, and the letters before it stay as they are.

newcomer = np.unique(glyphs.y[glyphs.groups == "Georgian"])[1]
X_new, y_new = drawings(glyphs.y == newcomer)
clf.enroll(X_new[:1], y_new[:1])
print(f"{newcomer}: {(clf.predict(X_new[1:]) == newcomer).sum()} of {len(X_new) - 1} recognised")
clf.forget([newcomer])

# %%
# Nobody
# ------
#
# A letter of another script is most alike to *something*. To refuse it, the gallery must know how
# alike strangers can be: from drawings of letters that are not enrolled, the *background*, with
# the script of each as its group. The threshold then promises that at most one in ten strangers
# gets a name, of whichever script they are.

scripts = ["Cyrillic", "Latin", "Greek", "Hebrew", "Lao", "Latin Extended-B", "Arabic", "IPA"]
two_writers = np.isin(glyphs.drawers, writers[[0, 3]])
background = np.isin(glyphs.groups, [*scripts, "Mathematical", "Arrows"]) & two_writers
clf.set_background(*drawings(background), groups=glyphs.groups[background])
print(clf.threshold(fpir=0.1))


X_strangers, _ = drawings((glyphs.groups == "Armenian") & (glyphs.drawers == writers[2]))
for fpir in (0.05, 0.1, 0.2):
    named = ~clf.identify(X_strangers, fpir=fpir).unknown
    refused = clf.identify(X, fpir=fpir).unknown
    print(f"promised {fpir:.0%}: strangers named {named.mean():.0%} of {named.size}, "
          f"enrolled letters refused {refused.mean():.0%}")  # fmt: skip

# %%
# The promise is about all strangers, these are 66 of one script: where the two differ, chance has a
# part in it. Enrolled letters that are refused are its price, and the milder it is the fewer they
# are.
#
# Two letters and two strangers, each beside what it is most alike:

rows = np.concatenate([X[[0, 40]], X_strangers[[3, 20]]])
truth = np.array([*y[[0, 40]], "Armenian", "Armenian"])
last_word = np.vectorize(lambda name: name.split()[-1])  # of a Unicode name: which letter
answer = clf.identify(rows, k=4, fpir=0.1)
enrolled = dict(zip(y_one, X_one, strict=True))
figure = plots.plot_identification(
    rows,
    np.array([[enrolled[name] for name in row] for row in answer.labels]),
    last_word(answer.labels),
    answer.scores,
    unknown=answer.unknown,
    truth=last_word(truth),
    ink=True,
)

# %%
# Where next: :doc:`office_faces` has the same story with people; what the promise means, and what
# it cost on real data, is measured in the README of the repository and explained in
# :doc:`/explanation/index`.
