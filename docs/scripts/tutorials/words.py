"""
Words: finding one by an example
================================

Somebody points at a word in a document, and wants all other places where it stands, in whatever
typeface. No reader of letters is trained: words are compared as pictures ("word spotting"), so it
works for words that were never seen in training, and for scripts that no OCR knows.

The words are those of the descriptions of scikit-learn's data sets, printed in the typefaces that
matplotlib installs. *Spoken* words are the plugin ``examples/plugins/spoken-words``: of 288 Italian
words each is known by another speaker's example in 89.6 % of 20-way trials. Its network (88 MB) and
recordings are not here, so it does not run on this page.
"""

# %%
import re
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from sklearn import datasets

from siamesekit import SiameseClassifier, plots
from siamesekit.evaluation import cosine_similarity

TYPEFACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif",
    "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol",
)  # fmt: skip
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def printed(word, typeface, rng):
    """Return the picture of a word, (24, 96), ink bright, as a scan would have it."""
    font = ImageFont.truetype(str(FONTS / f"{typeface}.ttf"), 40)
    left, top, right, bottom = font.getbbox(word)
    page = Image.new("L", (right - left + 16, bottom - top + 12))
    ImageDraw.Draw(page).text((8 - left, 6 - top), word, fill=255, font=font)
    page = page.rotate(rng.normal(0, 3), Image.Resampling.BILINEAR).resize((96, 24))
    grain = rng.normal(0, 12, (24, 96))
    return np.clip(np.asarray(page) + grain, 0, 255).astype(np.uint8)


texts = (
    datasets.load_diabetes,
    datasets.load_iris,
    datasets.load_wine,
    datasets.load_breast_cancer,
)
text = " ".join(load().DESCR for load in texts)
words = np.array(sorted(set(re.findall(r"\b[a-z]{5,10}\b", text))))
rng = np.random.default_rng(0)
words = rng.permutation(words)
X = np.stack([printed(word, typeface, rng) for word in words for typeface in TYPEFACES])
y = np.repeat(words, len(TYPEFACES))
typefaces = np.tile(TYPEFACES, len(words))
print(f"{len(words)} words in {len(TYPEFACES)} typefaces: {', '.join(words[:8])}, …")

# %%
# The same word in all typefaces, and another one:

page = Image.fromarray(255 - np.vstack([np.hstack(list(X[k : k + 5])) for k in (0, 5, 10, 15)]))
figure = Figure(figsize=(7, 1.6))
axes = figure.add_axes((0, 0, 1, 1))
axes.imshow(page, cmap="gray")
axes.set_axis_off()

# %%
# Learn to compare words
# ----------------------
#
# On all but 60 of them, which are kept for the document.

taught = np.isin(y, words[60:])
clf = SiameseClassifier(max_epochs=6, augment=None, enroll_training=False, random_state=0)
clf.fit(X[taught], y[taught])
print(f"{sum(clf.history_['seconds']):.0f} s of training")

# %%
# Point at a word
# ---------------
#
# Each of the 60 words is shown once, in one typeface. Which of them is a word printed in another?

shown = ~taught & (typefaces == "DejaVuSerif")
document = ~taught & ~shown
clf.enroll(X[shown], y[shown])
answers = clf.identify(X[document], k=5)
right = answers.labels == y[document][:, None]
print(f"first of 60: {right[:, 0].mean():.1%}; among the first five: {right.any(1).mean():.1%}")
pixels = torch.from_numpy(X.reshape(len(X), -1)).float()
nearest = cosine_similarity(pixels[document], pixels[shown]).argmax(1).numpy()
print(f"cosine of pixels: {(y[shown][nearest] == y[document]).mean():.1%}; chance {1 / 60:.1%}")

# %%
# Two that were found, and two that were not: the right word has the green frame.

rows = [*np.flatnonzero(right[:, 0])[[0, 90]], *np.flatnonzero(~right[:, 0])[:2]]
pictures = dict(zip(y[shown], X[shown], strict=True))
figure = plots.plot_identification(
    X[document][rows],
    np.array([[pictures[word] for word in row[:3]] for row in answers.labels[rows]]),
    answers.labels[rows, :3],
    answers.scores[rows, :3],
    truth=y[document][rows],
    ink=True,
)
