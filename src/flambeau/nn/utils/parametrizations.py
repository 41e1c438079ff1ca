"""Ready-made parametrisations: orthogonal, weight_norm, spectral_norm."""

from __future__ import annotations

import flambeau as fb

from ..functional import normalize
from ..module import Module
from . import parametrize
from ._weight_norm import norm_except_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows) from an unconstrained one, plus its base."""

    def __init__(self, weight, orthogonal_map, use_trivialization=True):
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X):
        """Map X (*, n, k) to the orthogonal matrix of its shape."""
        n, k = X.shape[-2:]
        flip = n < k
        if flip:
            X, n, k = X.mT, k, n
        if self.map == "householder":
            Q = _householder(X)
        else:
            lower = X.tril()
            if n != k:
                pad = fb.zeros((*X.shape[:-1], n - k), dtype=X.dtype, device=X.device)
                lower = fb.cat([lower, pad], -1)
            skew = lower - lower.mH
            if self.map == "matrix_exp":
                Q = fb.matrix_exp(skew)
            else:  # cayley
                eye = fb.eye(n, dtype=X.dtype, device=X.device)
                Q = fb.linalg.solve(eye + skew * -0.5, eye + skew * 0.5)
            if n != k:
                Q = Q[..., :k]
        if getattr(self, "base", None) is not None:
            Q = self.base @ Q
        return Q.mT if flip else Q

    @fb.no_grad()
    def right_inverse(self, Q):
        """Parameters for the matrix Q, made orthogonal first."""
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {Q.shape}."
            )
        n, k = Q.shape[-2:]
        flip = n < k
        if flip:
            Q, n, k = Q.mT, k, n
        if not hasattr(self, "base"):
            raise NotImplementedError(
                "orthogonal(use_trivialization=False) cannot take a value: its map has no right "
                "inverse here; set use_trivialization=True"
            )
        if n == k:
            q, r = fb.linalg.qr(Q)
            base = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        else:  # complete to a square basis
            tail = fb.randn((*Q.shape[:-1], n - k), dtype=Q.dtype, device=Q.device)
            q, r = fb.linalg.qr(fb.cat([Q, tail], -1))
            base = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        self.base = base
        zero = fb.zeros_like(Q)
        if self.map == "householder":
            zero.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return zero.mT if flip else zero


def _householder(A):
    """The product of the reflections whose vectors are the unit lower columns of A.

    The signs of A's diagonal are those of the columns.
    """
    n, k = A.shape[-2:]
    diagonal = A.diagonal(dim1=-2, dim2=-1).detach().unsqueeze(-2)
    signs = fb.where(diagonal < 0, -fb.ones_like(diagonal), fb.ones_like(diagonal))
    A = A.tril(-1) + fb.eye(n, k, dtype=A.dtype, device=A.device)
    Q = fb.eye(n, dtype=A.dtype, device=A.device)
    for i in range(k):
        v = A[..., :, i : i + 1]
        Q = Q - (Q @ v) @ (v.mT * (2.0 / v.square().sum((-2, -1), keepdim=True)))
    return Q[..., :k] * signs


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Keep the matrix ``name`` (semi) orthogonal while it is trained.

    ``orthogonal_map``: 'matrix_exp', 'cayley' or 'householder'. ValueError for another name or
    a tensor below two dimensions. Lezcano-Casado 2019, https://arxiv.org/abs/1909.09501.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, fb.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            "orthogonal_map has to be one of 'matrix_exp', 'cayley', 'householder'. Got: "
            f"{orthogonal_map}"
        )
    part = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, part, unsafe=True)


class _WeightNorm(Module):
    """g v / |v| from the length g and the direction v."""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        """Return the weight."""
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight):
        """Return (g, v) of ``weight``."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """Train the length and the direction of ``name`` apart (Salimans and Kingma 2016).

    >>> import flambeau as fb
    >>> m = fb.nn.utils.parametrizations.weight_norm(fb.nn.Linear(2, 3))
    >>> list(m.state_dict())[1:]
    ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    part = _WeightNorm(dim)
    parametrize.register_parametrization(module, name, part, unsafe=True)

    def old_names(state_dict, prefix, *_):
        g, v = f"{prefix}{name}_g", f"{prefix}{name}_v"  # checkpoints of the hook form
        if g in state_dict and v in state_dict:
            state_dict[f"{prefix}parametrizations.{name}.original0"] = state_dict.pop(g)
            state_dict[f"{prefix}parametrizations.{name}.original1"] = state_dict.pop(v)

    module._register_load_state_dict_pre_hook(old_names)
    return module


class _SpectralNorm(Module):
    """The weight divided by its largest singular value, by power iteration."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        if not -weight.dim() <= dim < max(weight.dim(), 1):
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.dim()}, "
                f"{weight.dim() - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % weight.dim(), eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            make = dict(dtype=weight.dtype, device=weight.device)
            u = fb.empty(matrix.shape[0], **make).normal_(0, 1)
            v = fb.empty(matrix.shape[1], **make).normal_(0, 1)
            self.register_buffer("_u", normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", normalize(v, dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight):
        if self.dim != 0:
            rest = [d for d in range(weight.dim()) if d != self.dim]
            weight = weight.permute(self.dim, *rest)
        return weight.flatten(1)

    @fb.no_grad()
    def _iterate(self, matrix, n):
        for _ in range(n):
            self._u.copy_(normalize(fb.mv(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(normalize(fb.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight):
        """Return weight / sigma."""
        if weight.dim() == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        return weight / fb.dot(u, fb.mv(matrix, v))

    def right_inverse(self, value):
        """Return ``value``: it is normed again by the forward."""
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide ``name`` by its largest singular value (Miyato et al. 2018).

    ValueError if there is no such tensor.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, fb.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    part = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, part)
