"""Time of 400 one-shot trials beside one forward pass a trial, as the tutorials do it.

    python benchmarks/evaluation.py --json evaluation.json

20 runs of 20 supports and 20 queries, as Lake's, of random 105×105 images. Ours embeds each image
once and scores a run at a time; the peer is a two-tower network called for every trial on 20 pairs,
the query beside each support, with torch's own convolutions. Same weights (`KochNet` and its L1
head, filters and units a quarter of the paper's with ``--quick``), same scores: that is asserted
in float32. Ours is timed in the precision that the library takes by itself, bfloat16 where the
processor has it, and in float32 as well. The peer is timed on 40 trials and reckoned up to 400:
every trial costs it the same. Embedding each image once gains 20 times at most; the rest are faster
convolutions. Then the time of random episodes against how many there are: embedding is paid once.
"""

import argparse
from functools import partial

import torch
from _options import parser_of
from _peer_network import with_torch_convolutions
from _table import Row, report
from _timing import best_times
from torch import Tensor

from siamesekit.backbones import KochNet
from siamesekit.evaluation import episode_accuracy, runs_accuracy
from siamesekit.heads import L1Head
from siamesekit.training import embed_items, resolve_precision

SHAPE = (1, 105, 105)
RUNS, WAY = 20, 20
# Of these runs the peer, which takes minutes for all of them.
PEER_RUNS = 2
CHARACTERS, DRAWERS = 100, 20
EPISODES = (100, 1000, 10_000)


def main() -> None:
    options = parse_options()
    generator = torch.Generator().manual_seed(options.seed)
    device = torch.device(options.device)
    backbone, head = make_network(options, device)
    n_runs = PEER_RUNS if options.quick else RUNS
    runs = [make_run(generator, device) for _ in range(n_runs)]

    def ours(precision: torch.dtype) -> list[Tensor]:
        return score_once(backbone, head, runs, device, precision)

    peer = None
    if options.peer != "none":
        plain = with_torch_convolutions(backbone)
        some = runs[:PEER_RUNS]
        theirs = score_by_trial(plain, head, some)
        for a, b in zip(ours(torch.float32), theirs, strict=False):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
        peer = best_times([lambda: score_by_trial(plain, head, some)], 1)[0] * n_runs / len(some)
    rows = []
    for precision in dict.fromkeys((resolve_precision("auto", device, SHAPE), torch.float32)):
        name = f"one-shot trials, {str(precision).removeprefix('torch.')}"
        (seconds,) = best_times([partial(ours, precision)], options.repeats)
        rows.append(Row(name, n_runs * WAY, "s", seconds, peer))
    rows += episode_rows(generator, options)
    print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    report(rows, "size", "peer", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: 2 runs of the 20, a smaller network"
    )
    parser.add_argument("--peer", choices=("tutorial", "none"), default="tutorial")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def make_network(options: argparse.Namespace, device: torch.device) -> tuple[KochNet, L1Head]:
    net = KochNet(filters=(16, 32, 32, 64), units=1024) if options.quick else KochNet()
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        # Channels last, as an estimator keeps its networks.
        backbone = net.build(SHAPE).to(device, memory_format=torch.channels_last).eval()
        head = L1Head().build(backbone.units).to(device).eval()
    return backbone, head


def make_run(generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return supports and queries, each (20, 1, 105, 105)."""
    images = torch.rand(2 * WAY, *SHAPE, generator=generator).to(device)
    return images[:WAY], images[WAY:]


@torch.inference_mode()
def score_once(
    backbone: KochNet,
    head: L1Head,
    runs: list[tuple[Tensor, Tensor]],
    device: torch.device,
    precision: torch.dtype,
) -> list[Tensor]:
    """Return the scores (20, 20) of each run, queries by supports, through the library."""
    images = torch.cat([image for run in runs for image in run])
    vectors = embed_items(backbone, images, device, precision).split(WAY)
    pairs = list(zip(vectors[0::2], vectors[1::2], strict=True))
    runs_accuracy([(s, q, torch.arange(WAY)) for s, q in pairs], head)
    return [head(queries, supports) for supports, queries in pairs]


@torch.inference_mode()
def score_by_trial(
    backbone: KochNet, head: L1Head, runs: list[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """Return the same by a two-tower call a trial: 20 pairs, 40 images."""
    scores = []
    for supports, queries in runs:
        rows = []
        for query in queries:
            repeated = query.expand(len(supports), -1, -1, -1)
            rows.append(head.pairs(backbone(repeated), backbone(supports)))
        scores.append(torch.stack(rows))
    return scores


def episode_rows(generator: torch.Generator, options: argparse.Namespace) -> list[Row]:
    """Return the time of random 20-way episodes on embeddings that are there."""
    vectors = torch.rand(CHARACTERS * DRAWERS, 128, generator=generator)
    labels = torch.arange(len(vectors)) // DRAWERS
    rows = []
    for n in EPISODES[:2] if options.quick else EPISODES:

        def run(n: int = n) -> None:
            episode_accuracy(
                vectors,
                labels,
                scorer=lambda a, b: a @ b.T,
                n_episodes=n,
                random_state=options.seed,
            )

        rows.append(Row("random episodes, embedded already", n, "s", *best_times([run], 1)))
    return rows


if __name__ == "__main__":
    main()
