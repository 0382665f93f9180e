"""Inputs of the drop-ins' tests: shapes of models and shapes that are awkward."""

import torch

DTYPES = (torch.bfloat16, torch.float16, torch.float32)

# batch, tokens, q heads, k heads, head_dim, how the tensors lie
SHAPES = [
    (1, 1, 32, 8, 128, "bshd"),
    (1, 7, 32, 8, 128, "bshd"),
    (2, 16, 8, 8, 64, "bshd"),
    (3, 5, 4, 1, 64, "bhsd"),
    (1, 33, 12, 2, 128, "bhsd"),
    (2, 9, 71, 1, 64, "bshd"),
    (4, 3, 28, 4, 128, "packed"),
    (2, 17, 16, 2, 256, "packed"),
    (1, 64, 3, 3, 96, "bshd"),
    (5, 2, 6, 2, 80, "bhsd"),
    (1, 11, 5, 5, 40, "packed"),
    (2, 6, 2, 1, 6, "bshd"),
    (2, 6, 2, 1, 2, "bshd"),
    (1, 1, 1, 1, 512, "bhsd"),
    (7, 1, 16, 16, 72, "bshd"),
    (2, 13, 9, 3, 112, "sliced"),
    (1, 128, 2, 2, 32, "sbhd"),
    (2, 21, 24, 24, 64, "sbhd"),
    (3, 4, 40, 8, 160, "bshd"),
    (1, 19, 64, 8, 192, "sliced"),
    (2, 8, 7, 7, 20, "expanded"),
    (6, 10, 14, 2, 16, "packed"),
]
IDS = [f"{b}x{s}x{hq}+{hk}x{d}-{lies}" for b, s, hq, hk, d, lies in SHAPES]


def tensors(shape, dtype, device):
    """q and k as [batch, heads, tokens, head_dim] views, as models hand them over."""
    batch, tokens, q_heads, k_heads, dim, lies = shape

    def random(*sizes):
        return torch.randn(*sizes, device=device).to(dtype)

    if lies == "packed":
        packed = random(batch, tokens, q_heads + 2 * k_heads, dim).transpose(1, 2)
        return packed[:, :q_heads], packed[:, q_heads : q_heads + k_heads]
    result = []
    for heads in (q_heads, k_heads):
        if lies == "bhsd":
            tensor = random(batch, heads, tokens, dim)
        elif lies == "sbhd":
            tensor = random(tokens, batch, heads, dim).permute(1, 2, 0, 3)
        elif lies == "sliced":
            tensor = random(batch, tokens, heads, dim + 6)[..., 2 : dim + 2].transpose(1, 2)
        elif lies == "expanded":
            tensor = random(1, tokens, heads, dim).expand(batch, -1, -1, -1).transpose(1, 2)
        else:
            tensor = random(batch, tokens, heads, dim).transpose(1, 2)
        result.append(tensor)
    return result


def angles(batch, tokens, pairs, device, theta=10000.0):
    """[batch or 1, tokens, pairs]; with a batch of more than 1, rows of their own for each sequence."""
    frequencies = theta ** (-torch.arange(pairs, device=device) / pairs)
    first = torch.arange(batch, device=device)[:, None] * 17 if batch > 1 else torch.zeros(1, 1, device=device)
    return (first + torch.arange(tokens, device=device))[..., None] * frequencies


def results_and_gradients(function, inputs, *rest):
    """What function(*inputs, *rest) gives, and the gradients of its inputs for fixed gradients of its results."""
    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    results = function(*inputs, *rest)
    generator = torch.Generator(device="cpu").manual_seed(1)
    grads = [torch.randn(r.shape, generator=generator).to(r) for r in results]
    kept = [grad.clone() for grad in grads]
    gradients = torch.autograd.grad(results, inputs, grads)
    assert all(torch.equal(a, b) for a, b in zip(grads, kept)), "an incoming gradient was written to"
    return list(results) + list(gradients)


def assert_same_bits(ours, theirs):
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype, f"{number}: {a.shape} {a.dtype}, {b.shape} {b.dtype}"
        different = (a != b).sum().item()
        assert different == 0, f"{number}: {different} of {a.numel()} elements differ"


def assert_close(ours, theirs):
    """To two roundings of the dtype."""
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        tolerance = 4 * torch.finfo(b.dtype).eps
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * 2)
