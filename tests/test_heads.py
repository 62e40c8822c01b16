"""The contract of every head, over HEADS: a new head is tested once it is registered."""

import copy

import pytest
import torch

from heads import HEADS, build_head

HIDDEN, LABELS = 12, 3
# excused by name from not looking at padding: that they do is what they are here to show
UNMASKED = {"seed_cnn", "seed_bilstm"}
# its backward direction is read where it has made a single step
NEVER_LEARNS = {("seed_bilstm", "lstm.weight_hh_l0_reverse")}

CELLS = [(name, level) for name, head in HEADS.items() for level in head.levels]
MASKED_CELLS = [(name, level) for name, level in CELLS if name not in UNMASKED]
every_head = pytest.mark.parametrize(("name", "level"), CELLS)
every_masked_head = pytest.mark.parametrize(("name", "level"), MASKED_CELLS)
LENGTHS = (5, 1, 3, 9, 2)  # shorter than every kernel, too


def make_head(name, level, seed=0):
    """A head in evaluation mode whose weights spread widely: with small ones all look right."""
    torch.manual_seed(seed)
    head = build_head(name, HIDDEN, LABELS, level=level)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.25)
    return head.eval()


def make_rows(lengths=LENGTHS):
    torch.manual_seed(1)
    return [torch.randn(length, HIDDEN) for length in lengths]


def pad(rows, width, side, fill="garbage"):
    """Pads rows to [B, width, H] and gives the mask; `fill` is what stands at padded places."""
    states = torch.full((len(rows), width, HIDDEN), float("nan"))
    if fill == "garbage":
        states = 50 * torch.randn(len(rows), width, HIDDEN)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        states[index, place], mask[index, place] = row, True
    return states, mask


def alone(head, rows):
    """Logits of each row by itself, without padding."""
    mask = [torch.ones(1, len(row), dtype=torch.bool) for row in rows]
    return [head(row[None], m)[0] for row, m in zip(rows, mask, strict=True)]


def at_real_places(logits, mask, level):
    return (
        list(logits) if level == "sequence" else [x[m] for x, m in zip(logits, mask, strict=True)]
    )


@every_head
def test_shape_and_dtype(name, level):
    states, mask = pad(make_rows(), 9, "right")
    logits = make_head(name, level)(states, mask)
    assert logits.shape == ((5, LABELS) if level == "sequence" else (5, 9, LABELS))
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("fill", ["garbage", "nan"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("width", [9, 15, 49])
@every_masked_head
def test_padding_never_changes_a_logit(name, level, width, side, fill):
    head, rows = make_head(name, level), make_rows()
    expected = alone(head, rows)
    states, mask = pad(rows, width, side, fill)
    together = at_real_places(head(states, mask), mask, level)
    one_by_one = [
        at_real_places(head(s[None], m[None]), m[None], level)[0]
        for s, m in zip(states, mask, strict=True)
    ]
    for row in range(len(rows)):
        torch.testing.assert_close(together[row], expected[row], atol=1e-5, rtol=0)
        torch.testing.assert_close(one_by_one[row], expected[row], atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
@every_masked_head
def test_padding_never_changes_a_logit_while_training(name, level, side):
    head, rows = make_head(name, level), make_rows()
    head.train()
    for module in head.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    states, mask = pad(rows, 15, side)
    got = at_real_places(head(states, mask), mask, level)
    for mine, expected in zip(got, alone(head, rows), strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(UNMASKED))
def test_the_unmasked_heads_are_changed_by_padding(name):
    head, rows = make_head(name, "sequence"), make_rows()
    states, mask = pad(rows, 15, "right")
    gaps = (head(states, mask) - torch.stack(alone(head, rows))).abs().amax(dim=1)
    assert (gaps > 0.1).all()


@pytest.mark.parametrize("side", ["left", "right"])
@every_masked_head
def test_no_gradient_at_padded_places(name, level, side):
    head = make_head(name, level)
    states, mask = pad(make_rows(), 15, side)
    states.requires_grad_()
    at_real = at_real_places(head(states, mask), mask, level)
    torch.cat([x.reshape(-1) for x in at_real]).square().sum().backward()
    assert (states.grad[~mask] == 0).all()
    assert (states.grad[mask].abs().sum() > 0).all()


@every_head
def test_texts_of_one_token(name, level):
    head = make_head(name, level)
    states = torch.randn(4, 1, HIDDEN)
    logits = head(states, torch.ones(4, 1, dtype=torch.bool))
    assert logits.isfinite().all()
    assert logits.flatten(1).std(dim=0).min() > 1e-4  # the text is looked at


@every_head
def test_rows_do_not_see_each_other(name, level):
    head = make_head(name, level)
    states, mask = pad(make_rows(), 9, "right")
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        head(states[order], mask[order]), head(states, mask)[order], atol=1e-6, rtol=0
    )


@every_head
def test_bf16_is_finite_and_close(name, level):
    head = make_head(name, level)
    states, mask = pad(make_rows(), 9, "right")
    full = head(states, mask)
    half = copy.deepcopy(head).bfloat16()(states.bfloat16(), mask)
    assert half.dtype == torch.bfloat16
    assert half.isfinite().all()
    real = mask if level == "token" else slice(None)
    gap = (half.float() - full)[real].norm() / full[real].norm()
    assert gap < 0.05


@every_head
def test_every_parameter_learns(name, level):
    head = make_head(name, level).train()
    states, mask = pad(make_rows(), 9, "right")
    head(states, mask).square().sum().backward()
    for parameter_name, parameter in head.named_parameters():
        learns = (parameter.grad != 0).any().item()
        assert learns == ((name, parameter_name) not in NEVER_LEARNS), parameter_name


@every_head
def test_dropout_is_the_one_asked_for(name, level):
    head = build_head(name, HIDDEN, LABELS, level=level, dropout=0.0).train()
    states, mask = pad(make_rows(), 9, "right")
    assert torch.equal(head(states, mask), head(states, mask))
    head = build_head(name, HIDDEN, LABELS, level=level, dropout=0.9).train()
    assert not torch.equal(head(states, mask), head(states, mask))


@every_head
@pytest.mark.parametrize("hidden", [1, 7, 40])
def test_no_width_or_length_is_hard_coded(name, level, hidden):
    head = build_head(name, hidden, 1, level=level)
    for length in (1, 2, 33, 200):
        logits = head(torch.randn(2, length, hidden), torch.ones(2, length, dtype=torch.bool))
        assert logits.isfinite().all()
        assert logits.shape[-1] == 1


@pytest.mark.parametrize("name", HEADS)
def test_a_level_that_is_not_served_is_refused(name):
    with pytest.raises(ValueError, match="serves level"):
        build_head(name, HIDDEN, LABELS, level="document")


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("cnn", {"kernel_sizes": []}),
        ("cnn", {"kernel_sizes": [0]}),
        ("cnn", {"num_filters": 0}),
        ("bilstm", {"lstm_size": 0}),
        ("bilstm", {"num_layers": 0}),
        ("seed_cnn", {"num_filters": 0}),
        ("fc", {"activation": "gellu"}),
        ("pooled", {}),
    ],
)
def test_an_argument_out_of_range_is_refused(name, argument):
    (word,) = argument or (name,)
    with pytest.raises(ValueError, match=word):
        build_head(name, HIDDEN, LABELS, level="sequence", **argument)


def test_cnn_computes_windows_of_real_tokens():
    """Every window of the text with its zeros around it, by hand."""
    head = make_head("cnn", "sequence")
    (row,) = make_rows((4,))
    features = []
    for convolution in head.convolutions:
        k = convolution.kernel_size[0]
        before = (k - 1) // 2
        zeros = torch.zeros(k, HIDDEN)
        around = torch.cat((zeros[:before], row, zeros))
        windows = torch.stack([around[t : t + k] for t in range(4)])  # [T, k, H]
        scores = torch.einsum("tkh,fhk->tf", windows, convolution.weight) + convolution.bias
        features.append(scores.clamp(min=0).max(dim=0).values)
    expected = torch.cat(features) @ head.out_proj.weight.T + head.out_proj.bias
    torch.testing.assert_close(alone(head, [row])[0], expected, atol=1e-5, rtol=0)


def test_bilstm_reads_each_text_in_both_directions():
    """The states after the last token forwards and after the first one backwards, step by step."""
    head = make_head("bilstm", "sequence")
    (row,) = make_rows((4,))

    def last_state(tokens, suffix):
        weights = dict(head.lstm.named_parameters())
        h = c = torch.zeros(head.lstm.hidden_size)
        for token in tokens:
            gates = (
                weights[f"weight_ih_l0{suffix}"] @ token
                + weights[f"bias_ih_l0{suffix}"]
                + weights[f"weight_hh_l0{suffix}"] @ h
                + weights[f"bias_hh_l0{suffix}"]
            )
            i, f, g, o = gates.chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return h

    both = torch.cat((last_state(row, ""), last_state(row.flip(0), "_reverse")))
    expected = head.out_proj.weight @ both + head.out_proj.bias
    torch.testing.assert_close(alone(head, [row])[0], expected, atol=1e-5, rtol=0)
