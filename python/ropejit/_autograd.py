"""The gradient of a Rotation: its adjoint, backwards; itself, for tangents, since it is linear."""

import torch

from ropejit import _torch


def differentiates(*tensors):
    """Whether autograd has to see a call with these: for gradients, or for forward-mode tangents."""
    if _torch.has_tangents():
        return True
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def gradients(of, dtype, grad_q, grad_k, positions, cos, sin, cu_seqlens, start):
    """Of q and k, in new tensors: None for each that is None."""
    if grad_q is None:
        if grad_k is None:
            return None, None
        if not of.k_rotates:
            return None, grad_k.to(dtype)
        return None, of.adjoint(dtype, of_k=True)(grad_k, None, positions, cos, sin, cu_seqlens, start)[0]
    return of.adjoint(dtype)(grad_q, grad_k, positions, cos, sin, cu_seqlens, start)


def _keep(ctx, of, q, k, positions, cos, sin, cu_seqlens, start):
    ctx.set_materialize_grads(False)
    ctx.of, ctx.dtype, ctx.start = of, q.dtype, start
    ctx.shapes = [None if tensor is None else (tensor.shape, tensor.device) for tensor in (q, k)]
    ctx.save_for_backward(positions, cos, sin, cu_seqlens)
    ctx.save_for_forward(positions, cos, sin, cu_seqlens)


class Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, of, *arguments):
        _keep(ctx, of, *arguments)
        return of.forced(False, *arguments)

    @staticmethod
    def backward(ctx, grad_q, grad_k=None):
        needed = ctx.needs_input_grad
        grads = (grad_q if needed[1] else None, grad_k if needed[2] else None)
        grads = gradients(ctx.of, ctx.dtype, *grads, *ctx.saved_tensors, ctx.start)
        return (None, *grads, None, None, None, None, None)

    @staticmethod
    def jvp(ctx, _, q, k, positions, cos, sin, cu_seqlens, start):
        for name, tangent in (("cos", cos), ("sin", sin)):
            if tangent is not None:
                raise NotImplementedError(f"{name}: found a tensor with a tangent, allowed: one without")
        # torch takes no tangent for none: what varies along with the other is zeros.
        tangents = (
            torch.zeros(shape[0], dtype=ctx.dtype, device=shape[1]) if tangent is None and shape is not None else tangent
            for tangent, shape in zip((q, k), ctx.shapes)
        )
        return ctx.of(*tangents, *ctx.saved_tensors, ctx.start)


class _RotateInPlace(Rotate):
    """Gives q alone where there is no k: torch writes into views by functions of one result only."""

    @staticmethod
    def forward(ctx, of, *arguments):
        _keep(ctx, of, *arguments)
        ctx.mark_dirty(*(tensor for tensor in arguments[:2] if tensor is not None))
        q, k = of.forced(True, *arguments)
        return q if k is None else (q, k)


def rotate_in_place(of, q, k, *rest):
    if k is None:
        return _RotateInPlace.apply(of, q, None, *rest), None
    if not q._is_view() and not k._is_view():
        return _RotateInPlace.apply(of, q, k, *rest)
    q, _ = of.in_place(q, None, *rest)
    k, _ = of.of_k().in_place(k, None, *rest)
    return q, k


class RotateByOperator(Rotate):
    """What torch.ops.ropejit.rope is to autograd."""

    @staticmethod
    def forward(ctx, of, *arguments):
        _keep(ctx, of, *arguments)
        with torch._C._AutoDispatchBelowAutograd():
            return of.by_operator(*arguments)


class RotateUnderTransform(Rotate):
    """In the form that torch.func asks for, which costs another 15 us a call."""

    @staticmethod
    def forward(of, *arguments):
        return of.forced(False, *arguments)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _keep(ctx, *inputs)

    @staticmethod
    def vmap(info, in_dims, of, *arguments):
        """One by one: what varies may be any of the tensors."""
        results = []
        for number in range(info.batch_size):
            one = [x if at is None else x.select(at, number) for x, at in zip(arguments, in_dims[1:])]
            results.append(RotateUnderTransform.apply(of, *one))
        q, k = zip(*results)
        both = k[0] is not None
        return (torch.stack(q), torch.stack(k) if both else None), (0, 0 if both else None)
