"""The original repository's heads against an independent computation of their formulas."""

import math

import pytest
import torch

from heads import build_head
from heads.seed import SeedCNNHead

HIDDEN, LABELS, BATCH = 6, 2, 3


def spread(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.3)
    return head.eval()


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


@pytest.mark.parametrize("length", [2, 7, 32, 50])
def test_seed_cnn(length):
    torch.manual_seed(0)
    head = spread(SeedCNNHead(HIDDEN, LABELS, level="sequence", num_filters=5))
    states = torch.randn(BATCH, length, HIDDEN)
    x = gelu(states)
    kernel, bias = head.convolution.weight.detach(), head.convolution.bias.detach()
    assert kernel.shape == (5, 1, 2, HIDDEN)
    windows = [
        [
            [(x[b, t : t + 2] * kernel[f, 0]).sum() + bias[f] for t in range(length - 1)]
            for f in range(5)
        ]
        for b in range(BATCH)
    ]
    pooled = torch.tensor(windows).clamp(min=0).max(dim=-1).values
    expected = pooled @ head.out_proj.weight.T + head.out_proj.bias
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    torch.testing.assert_close(head(states, mask), expected, atol=1e-5, rtol=0)


def test_seed_cnn_of_one_token_sees_a_row_of_zeros_behind_it():
    torch.manual_seed(0)
    head = spread(SeedCNNHead(HIDDEN, LABELS, level="sequence"))
    states = torch.randn(BATCH, 1, HIDDEN)
    longer = torch.cat((states, torch.zeros(BATCH, 1, HIDDEN)), dim=1)
    mask = torch.ones(BATCH, 2, dtype=torch.bool)
    torch.testing.assert_close(head(states, mask[:, :1]), head(longer, mask))


@pytest.mark.parametrize("length", [1, 7, 40])
def test_seed_bilstm(length):
    torch.manual_seed(0)
    head = spread(build_head("seed_bilstm", HIDDEN, LABELS, level="sequence"))
    states = torch.randn(BATCH, length, HIDDEN)
    weights = dict(head.lstm.named_parameters())
    assert head.lstm.hidden_size == HIDDEN

    def run(tokens, suffix):
        """LSTM over [B, T, H] from a zero state; the last output."""
        h = c = torch.zeros(BATCH, HIDDEN)
        for t in range(tokens.shape[1]):
            gates = (
                tokens[:, t] @ weights[f"weight_ih_l0{suffix}"].T
                + weights[f"bias_ih_l0{suffix}"]
                + h @ weights[f"weight_hh_l0{suffix}"].T
                + weights[f"bias_hh_l0{suffix}"]
            )
            i, f, g, o = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h

    x = gelu(states)
    # the backward direction has read a single place when it stands at the last one
    last = torch.cat((run(x, ""), run(x[:, -1:], "_reverse")), dim=1)
    expected = last @ head.out_proj.weight.T + head.out_proj.bias
    mask = torch.ones(BATCH, length, dtype=torch.bool)
    torch.testing.assert_close(head(states, mask), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["seed_cnn", "seed_bilstm"])
def test_the_mask_is_not_looked_at(name):
    head = spread(build_head(name, HIDDEN, LABELS, level="sequence"))
    states = torch.randn(BATCH, 9, HIDDEN)
    mask = torch.ones(BATCH, 9, dtype=torch.bool)
    shorter = mask.clone()
    shorter[:, 4:] = False
    assert torch.equal(head(states, mask), head(states, shorter))
