"""
Same or not: verifying pairs
============================

Is this signature that person's? A verifier answers for pairs, says how sure it is, and has a
threshold with a promise.

There are no signatures here: sets of them may not be passed on. Characters of the fonts that
matplotlib installs stand in for them, each warped as if drawn by hand: a character is a "person",
its drawings in several typefaces are "signatures". How well it goes with them says nothing about
signatures. On a folder of your own, ``PEOPLE/NAME/*.png``, it is
``examples/verify_pairs.py --root PEOPLE``.
"""

# %%
import numpy as np
from _font_glyphs import load_font_glyphs

from siamesekit import SiameseVerifier, plots

glyphs = load_font_glyphs(size=28, distortion=0.5, random_state=0)
people = np.random.default_rng(0).permutation(np.unique(glyphs.y))[:200]
test = np.isin(glyphs.y, people[:50])
learn = np.isin(glyphs.y, people[50:])
X, y = glyphs.X[learn], glyphs.y[learn]

# %%
# Learn to compare
# ----------------
#
# By the contrastive loss (Hadsell, Chopra and LeCun, 2006): pairs of one person are pulled
# together, others pushed apart up to a margin. Of the 150 people ``fit`` keeps 30 % from training;
# they calibrate probabilities and thresholds.

verifier = SiameseVerifier(head="cosine", loss="contrastive", max_epochs=8, random_state=0)
verifier.set_params(loss__balance=True)
verifier.fit(X, y)
figure = plots.plot_history(verifier.history_)

# %%
# A threshold with a promise
# --------------------------
#
# At most 5 % of pairs of different people are called the same, with a confidence of 95 %, read off
# the people held out. A promise that so few people cannot show is refused:

from siamesekit.errors import TooFewTrialsError

try:
    verifier.threshold(fmr=0.0001)
except TooFewTrialsError as error:
    print(error)
cut = verifier.threshold(fmr=0.05)
print(cut)

# %%
# Does it hold on people whom nothing has seen?
# ---------------------------------------------

X, y = glyphs.X[test], glyphs.y[test]
report = verifier.report(X, y, fmr=0.05)
for name, found in (("equal error rate", report.eer), ("missed at FMR 5 %", report.fnmr)):
    low, high = found.interval
    print(f"{name:18} {found.value:.1%} [{low:.1%}, {high:.1%}]")
print(f"at the threshold   FMR {report.fmr_at_threshold:.1%}, FNMR {report.fnmr_at_threshold:.1%}")
print(
    f"{report.n_people} people, {report.n_same:,} same and {report.n_different:,} different pairs"
)

# %%
# All pairs of their drawings: the scores, the errors at every threshold, and how far the
# probabilities can be believed.

first, second = np.triu_indices(len(y), 1)
same = y[first] == y[second]
kept = same | (np.random.default_rng(0).random(len(same)) < 0.05)
first, second, same = first[kept], second[kept], same[kept]
scores = verifier.decision_function(X[first], X[second])
# sphinx_gallery_thumbnail_number = 2
figure = plots.plot_scores(scores, same, threshold=cut)

# %%
figure = plots.plot_det(scores, same, identities=(y[first], y[second]), n_resamples=200)

# %%
# Why?
# ----
#
# Where the score falls most when a part of the drawing is hidden: red made the two alike.

i, j = first[same][0], second[same][0]
found = verifier.explain(X[i], X[j])
figure = plots.plot_explanation(X[i], X[j], found.a, found.b, ink=True)
