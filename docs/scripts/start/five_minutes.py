"""
Five minutes
============

.. code-block:: sh

    git clone … siamesekit && cd siamesekit
    pip install ".[plot,data]"

(It is not on PyPI yet; Python 3.11 or newer, PyTorch 2.6 or newer.)

A model that compares hand-drawn symbols comes in the package. Nothing is trained here: each
symbol is shown to it once, and then it recognises others.
"""

# %%
# Some drawings
# -------------
#
# Here a shaky pen draws on white paper. Scans or photographs of your own will do as well: arrays
# or paths, of any size, dark on bright or the other way round.

import numpy as np
from PIL import Image, ImageDraw

STROKES = {
    "house": [[(20, 85), (20, 45), (50, 18), (80, 45), (80, 85), (20, 85)]],
    "bolt": [[(60, 10), (30, 55), (55, 55), (35, 92)]],
    "fish": [[(15, 50), (45, 28), (80, 62), (80, 35), (45, 70), (15, 50)]],
    "key": [[(30, 20), (45, 35), (30, 50), (15, 35), (30, 20)], [(40, 42), (85, 85), (92, 76)]],
    "cross": [[(50, 12), (50, 90)], [(25, 38), (75, 38)]],
    "wave": [[(10, 60), (28, 35), (45, 60), (62, 35), (80, 60), (92, 42)]],
}


def drawn(name, rng):
    """Return a drawing, uint8 of shape (120, 120): no two are the same."""
    page = Image.new("L", (120, 120), 255)
    pen = ImageDraw.Draw(page)
    angle, size = rng.normal(0, 0.12), rng.uniform(0.8, 1.1)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for stroke in STROKES[name]:
        points = (np.array(stroke) - 50) @ turn + 60 + rng.normal(0, 3.5, (len(stroke), 2))
        pen.line([tuple(point) for point in points], fill=20, width=3, joint="curve")
    return np.asarray(page)


rng = np.random.default_rng(0)
names = np.array(list(STROKES))
examples = np.stack([drawn(name, rng) for name in names])

# %%
# One example each
# ----------------

from siamesekit import SiameseClassifier

clf = SiameseClassifier.from_pretrained("omniglot")
clf.enroll(examples, names)

# %%
# Who is it?
# ----------

asked = np.repeat(names, 20)
drawings = np.stack([drawn(name, rng) for name in asked])
answers = clf.predict(drawings)
print(f"{(answers == asked).sum()} of {len(asked)} drawings recognised, by one example each")

# %%
# The first of each symbol, beside the three enrolled drawings that are most like it, best first.
# A green frame is the right one.

from siamesekit import plots

few = np.arange(0, len(asked), 20)
best = clf.identify(drawings[few], k=3)
enrolled = dict(zip(names, examples, strict=True))
figure = plots.plot_identification(
    drawings[few],
    np.array([[enrolled[name] for name in row] for row in best.labels]),
    best.labels,
    best.scores,
    truth=asked[few],
)

# %%
# People join and leave
# ---------------------
#
# A class more is one call, one less another; nothing is trained again.

STROKES["arrow"] = [[(15, 50), (85, 50)], [(60, 28), (85, 50), (60, 72)]]
clf.enroll(drawn("arrow", rng)[None], ["arrow"])
clf.forget(["key"])
print(clf.classes_, clf.predict(np.stack([drawn("arrow", rng), drawn("key", rng)])))

# %%
# The last answer is wrong, as it must be: the key was forgotten, and the most alike of the others
# is named. How to get "nobody" as an answer is the second half of :doc:`/tutorials/symbols`.
#
# Where next
# ----------
#
# - :doc:`/tutorials/index`: whole stories, each from data to figures.
# - :doc:`/howto/index`: your own pictures, thresholds, serving, many GPUs.
# - :doc:`/explanation/index`: what the four words embed, compare, choose, charge mean.
# - :doc:`/reference/index`: every public name.
