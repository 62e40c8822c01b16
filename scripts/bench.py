"""Measures the project's speed claims: ratios, side by side in one run, at equal output.

python scripts/bench.py            # all
python scripts/bench.py convolution batches
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import ElectraConfig

from heads import HeadedModelForSequenceClassification
from trainers.samplers import GroupedByLengthSampler

ROUNDS = 9
HIDDEN, FILTERS, KERNELS = 256, 128, (2, 3, 4)
BATCH, TOKENS = 32, 24


def medians(forms: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Times forms of one computation in turn, A B C A B C ..., so that drift hits all alike.

    Args:
        forms: Name -> the computation.
        rounds: How often each is timed.

    Returns:
        Form -> median seconds over the rounds, the first round left out.
    """
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds + 1):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def show(title: str, times: dict[str, float]) -> None:
    """Prints each form's median and how many times as long as the fastest it takes."""
    fastest = min(times.values())
    print(f"\n{title}")
    for name, seconds in times.items():
        print(f"  {name:<28} {seconds * 1e3:9.2f} ms   {seconds / fastest:5.2f} x")


def train_step(logits: Callable[[], Tensor]) -> Callable[[], None]:
    """Makes a forward and a backward pass of a form."""
    return lambda: logits().sum().backward()


def convolution() -> None:
    """`cnn`: conv1d, unfold + matmul, and one matmul with shifted sums."""
    states = torch.randn(BATCH, TOKENS, HIDDEN, requires_grad=True)
    weights = [torch.randn(FILTERS, HIDDEN, k).mul_(0.02).requires_grad_() for k in KERNELS]

    def conv1d(padded: Tensor, weight: Tensor) -> Tensor:
        return functional.conv1d(padded.transpose(1, 2), weight).transpose(1, 2)

    def unfold(padded: Tensor, weight: Tensor) -> Tensor:
        windows = padded.unfold(1, weight.shape[2], 1).flatten(2)  # [B, T, H * k]
        return windows @ weight.flatten(1).t()

    def shifted(padded: Tensor, weight: Tensor) -> Tensor:
        k = weight.shape[2]
        product = padded @ weight.permute(1, 2, 0).flatten(1)  # [B, T + k - 1, k * F]
        parts = product.view(BATCH, -1, k, FILTERS)
        return torch.stack([parts[:, j : j + TOKENS, j] for j in range(k)]).sum(0)

    def whole(form: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        padded = [functional.pad(states, (0, 0, (k - 1) // 2, k // 2)) for k in KERNELS]
        parts = [form(p, w) for p, w in zip(padded, weights, strict=True)]
        return torch.cat(parts, dim=-1).relu().max(dim=1).values  # [B, F * kernels]

    forms = {"conv1d": conv1d, "unfold + matmul": unfold, "matmul + shifted sums": shifted}
    for form in forms.values():
        torch.testing.assert_close(whole(form), whole(conv1d), atol=1e-4, rtol=1e-4)
    steps = {name: train_step(lambda form=form: whole(form)) for name, form in forms.items()}
    show(f"cnn: convolutions, batch {BATCH} x {TOKENS} tokens x {HIDDEN}", medians(steps))


def seed_convolution() -> None:
    """`seed_cnn`: the original's conv2d against the conv1d it is computed as."""
    states = torch.randn(BATCH, TOKENS, HIDDEN, requires_grad=True)
    weight = torch.randn(FILTERS, 1, 2, HIDDEN).mul_(0.02).requires_grad_()

    def conv2d() -> Tensor:
        return functional.conv2d(states.unsqueeze(1), weight).squeeze(3)  # [B, F, T - 1]

    def conv1d() -> Tensor:
        return functional.conv1d(states.transpose(1, 2), weight.squeeze(1).transpose(1, 2))

    torch.testing.assert_close(conv1d(), conv2d(), atol=1e-4, rtol=1e-4)
    steps = {"conv2d, one channel": train_step(conv2d), "conv1d": train_step(conv1d)}
    show("seed_cnn: convolution", medians(steps))


def batches() -> None:
    """Training on batches padded to 128, padded to their longest, grouped by length."""
    torch.manual_seed(0)
    # log-normal lengths with NSMC's median and spread (mean 20, median 16, 95% below 55)
    generator = np.random.default_rng(0)
    lengths = generator.lognormal(2.75, 0.75, BATCH * 16).clip(3, 128).astype(int)
    config = ElectraConfig(
        vocab_size=8000, embedding_size=128, hidden_size=HIDDEN, num_hidden_layers=4,
        num_attention_heads=4, intermediate_size=1024,
    )  # fmt: skip
    model = HeadedModelForSequenceClassification.from_encoder(config, {"name": "fc"}, ["a", "b"])
    grouped = GroupedByLengthSampler(lengths, BATCH, seed=0).order()
    orders = {
        "padded to 128": (np.arange(len(lengths)), 128),
        "padded to the longest": (np.arange(len(lengths)), None),
        "grouped by length": (grouped, None),
    }

    def epoch(order: np.ndarray, width: int | None) -> None:
        for start in range(0, len(order), BATCH):
            rows = lengths[order[start : start + BATCH]]
            longest = width or int(rows.max())
            mask = torch.arange(longest) < torch.from_numpy(rows).unsqueeze(1)  # [B, T]
            ids = torch.randint(5, 8000, mask.shape) * mask
            labels = torch.randint(0, 2, (len(rows),))
            model(input_ids=ids, attention_mask=mask.long(), labels=labels).loss.backward()

    forms = {name: lambda o=o, w=w: epoch(o, w) for name, (o, w) in orders.items()}
    show("training batches (forward + backward, 4 layers x 256)", medians(forms, rounds=3))


BENCHES = {"convolution": convolution, "seed_convolution": seed_convolution, "batches": batches}


def main() -> int:
    """Runs the benches asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", nargs="*", help=f"{', '.join(BENCHES)}; all unless given")
    chosen = parser.parse_args().bench or list(BENCHES)
    for name in chosen:
        if name not in BENCHES:
            parser.error(f"no bench {name!r}; known: {', '.join(BENCHES)}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians")
    for name in chosen:
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
