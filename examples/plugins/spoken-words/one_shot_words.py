"""How often a word of one speaker is known by one example of another speaker.

    python one_shot_words.py --support FOLDER --query FOLDER

Both folders hold WAV files, and equal names in them (below them too) hold the same words. With
Debian's packages asterisk-core-sounds-it-wav and asterisk-prompt-it-menardi-wav these are
/usr/share/asterisk/sounds/it_IT_m_Carlo and …/it_IT_f_Menardi (voices by Marco Menardi and Paola
Dal Zot, CC-BY-SA-3.0, http://www.voip.ammdomus.it).
"""

import argparse
import time
import wave
from pathlib import Path

import numpy as np
import torch
from siamesekit_spoken_words import SpokenWords, WordReader, log_mel

from siamesekit.evaluation import mean_interval

_SECONDS = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--support", type=Path, required=True, help="one speaker's WAV files")
    parser.add_argument("--query", type=Path, required=True, help="the other's, of equal names")
    parser.add_argument("--ways", type=int, nargs="+", default=[10, 20])
    options = parser.parse_args()

    names = common_words(options.support, options.query)
    if len(names) < 2:
        raise SystemExit(f"fewer than two words of up to {_SECONDS} s have files in both folders")
    print(f"{len(names)} words of up to {_SECONDS} s in both folders")
    read = WordReader()
    support = np.stack([read(options.support / name) for name in names])
    query = np.stack([read(options.query / name) for name in names])
    start = time.perf_counter()
    network = SpokenWords().build(support.shape[1:]).eval()
    scores = cosines(embed(network, query), embed(network, support))
    seconds = (time.perf_counter() - start) / (2 * len(names))
    print(f"{1000 * seconds:.0f} ms a word, with {torch.get_num_threads()} threads")
    without = cosines(*(np.stack([log_mel(x).ravel() for x in part]) for part in (query, support)))
    print("of all draws of so many words; in brackets the 95 % interval over words")
    for way in [*(w for w in options.ways if w < len(names)), len(names)]:
        print(
            f"{way:4d}-way one-shot: EfficientWord-Net {shown(chances(scores, way))}, "
            f"cosine of log-mel {shown(chances(without, way))}"
        )


def common_words(first: Path, second: Path) -> list[str]:
    """Return the names of short sounds that are not silent, in both folders."""
    both = {str(p.relative_to(first)) for p in first.rglob("*.wav")}
    both &= {str(p.relative_to(second)) for p in second.rglob("*.wav")}
    return sorted(n for n in both if is_word(first / n) and is_word(second / n))


def is_word(path: Path) -> bool:
    with wave.open(str(path)) as file:
        if file.getnframes() > _SECONDS * file.getframerate():
            return False
    return bool(np.abs(WordReader()(path)).max() > 0.01)


def embed(network: torch.nn.Module, sounds: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(sounds)).numpy()


def cosines(query: np.ndarray, support: np.ndarray) -> np.ndarray:
    query, support = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, support))
    return query @ support.T


def chances(scores: np.ndarray, way: int) -> np.ndarray:
    """Return each word's chance to be known among `way` - 1 others, drawn from all of them.

    Exact: of n - 1 others, b of which are more like the query than the right word is, none of
    these must be among those drawn. A tie counts against it.
    """
    better = (scores >= np.diag(scores)[:, None]).sum(1) - 1
    n_others, factors = len(scores) - 1, np.arange(way - 1)
    return np.prod(np.maximum(0, n_others - better[:, None] - factors) / (n_others - factors), 1)


def shown(chance: np.ndarray) -> str:
    low, high = mean_interval(chance, n_trials=1)
    return f"{100 * chance.mean():.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    main()
