"""Training of the Koch network beside a plain two-tower loop; images a second against the peak.

    python benchmarks/training.py --json training.json

Ours is the line of ``recipes.koch_allpairs`` without its batch normalisation: a batch of b images
goes through the network once, in bfloat16 where the processor has it, and all its b (b - 1) / 2
pairs are charged. The peer is the loop of the public tutorials in float32, with torch's own
convolutions: two images go through the network for every pair. Pairs a second flatter all-pairs
training, whose pairs share images; images a second are the harsher comparison, and are printed too.
Same network (38,951,745 weights unless ``--quick``), same optimiser, in turn in one process.

The peak is the best rate of a square matrix product in this run, in the precision of ours: bfloat16
where the processor has it. The share is what the network's multiplications, forward and backward,
done directly, come to a second, against it; convolutions by the convolution theorem need fewer.
"""

import argparse
from collections.abc import Callable

import torch
from _options import parser_of
from _peer_network import with_torch_convolutions
from _table import Row, report
from _timing import best_times
from torch import Tensor, nn

from siamesekit.backbones import KochNet
from siamesekit.heads import L1Head
from siamesekit.losses import BCELoss
from siamesekit.training import TrainingLine, make_optimizer, resolve_precision

SHAPE = (1, 105, 105)
PER_CLASS = 2
PRODUCT_SIZES = (1024, 2048, 4096)
RATE = 3e-4


def main() -> None:
    options = parse_options()
    generator = torch.Generator().manual_seed(options.seed)
    device = torch.device(options.device)
    images = torch.rand(options.batch, *SHAPE, generator=generator).to(device)
    labels = (torch.arange(options.batch) // PER_CLASS).to(device)

    precision = resolve_precision("auto", device, SHAPE)
    ours = all_pairs_step(options, images, labels, precision)
    steps = [ours]
    if options.peer != "none":
        steps.append(two_tower_step(options, images, labels))
    seconds = best_times(steps, options.repeats)
    peak = 0.0 if options.quick else product_peak(device, precision)
    flops = 6 * multiplications(make_network(options).build(SHAPE)) * options.batch

    n_pairs = (options.batch * (options.batch - 1) // 2, options.batch // 2)
    rows = []
    for name, amounts in (("pairs", n_pairs), ("images", (options.batch, options.batch))):
        rates = [amount / taken for amount, taken in zip(amounts, seconds, strict=False)]
        rows.append(Row(f"{name} a second", options.batch, "1/s", *rates, more_is_better=True))
    rows.append(Row("network's arithmetic", options.batch, "GFLOP/s", flops / seconds[0] / 1e9))
    if peak:
        kind = str(precision).removeprefix("torch.")
        rows.append(Row(f"{kind} product, peak", max(PRODUCT_SIZES), "GFLOP/s", peak / 1e9))
        share = 100 * flops / seconds[0] / peak
        rows.append(Row("share of the peak", options.batch, "%", share))
    print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    report(rows, "size", "peer", options.json)


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: a small network, and no peak"
    )
    parser.add_argument("--peer", choices=("two-tower", "none"), default="two-tower")
    parser.add_argument("--batch", type=int, default=80, help="images, two of each class")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.batch < 4 or options.batch % 4:
        parser.error(f"--batch must be a multiple of 4; got {options.batch}")
    return options


def make_network(options: argparse.Namespace) -> KochNet:
    return KochNet(filters=(8, 16, 16, 32), units=256) if options.quick else KochNet()


def all_pairs_step(
    options: argparse.Namespace, images: Tensor, labels: Tensor, precision: torch.dtype
) -> Callable[[], None]:
    """Return one step of training on all pairs of the batch."""
    net = make_network(options)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        net.build(SHAPE)
        head = L1Head().build(net.units)
    line = TrainingLine(net, head, BCELoss(balance=True), precision=precision).to(images.device)
    line.to(memory_format=torch.channels_last)
    optimizer = make_optimizer("adam", line, RATE, 0.0)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        line(images, labels).loss.backward()
        optimizer.step()

    return step


def two_tower_step(
    options: argparse.Namespace, images: Tensor, labels: Tensor
) -> Callable[[], None]:
    """Return one step of the tutorials' loop: half the pairs of one class, half of two."""
    net = make_network(options)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = with_torch_convolutions(net.build(SHAPE)).to(images.device)
        last = nn.Linear(net.units, 1).to(images.device)
    optimizer = torch.optim.Adam([*network.parameters(), *last.parameters()], lr=RATE)
    loss = nn.BCEWithLogitsLoss()
    half = len(images) // 2
    # Neighbours are of one class; every other pair takes its second image from elsewhere.
    order = torch.arange(half, device=images.device)
    left = images[2 * order]
    right = images[(2 * order + 1 + 2 * (order % 2)) % len(images)]
    same = (order % 2 == 0).float()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits = last((network(left) - network(right)).abs()).squeeze(1)
        loss(logits, same).backward()
        optimizer.step()

    return step


def product_peak(device: torch.device, precision: torch.dtype) -> float:
    """Return the best rate of a square matrix product, in operations a second."""
    peak = 0.0
    for size in PRODUCT_SIZES:
        a = torch.ones(size, size, dtype=precision, device=device)
        seconds = best_times([lambda a=a: a @ a], 5)[0]
        peak = max(peak, 2 * size**3 / seconds)
    return peak


def multiplications(network: nn.Module) -> int:
    """Return how many multiplications one image takes forward.

    Backward takes twice as many, less those for the gradient of the image, which nobody asks for:
    those of the first layer are counted half in that.
    """
    counts: list[float] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer.weight, Tensor)
        places = output[0].numel() // len(layer.weight)
        share = 2 / 3 if not counts else 1.0
        counts.append(share * places * layer.weight.numel())

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.inference_mode():
        network(torch.zeros(1, *SHAPE))
    for hook in hooks:
        hook.remove()
    return round(sum(counts))


if __name__ == "__main__":
    main()
