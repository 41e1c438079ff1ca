"""Limited-memory BFGS with an optional strong-Wolfe line search."""

from __future__ import annotations

import flambeau

from ._common import as_real, check_lr, scalar
from ._line_search import strong_wolfe
from .optimizer import Optimizer


class LBFGS(Optimizer):
    """L-BFGS: quasi-Newton steps from the last ``history_size`` changes of the gradient.

    Nocedal and Wright, "Numerical optimization" (2006), algorithms 7.4 and 3.5; a step calls the
    closure up to ``max_eval`` times (default ``max_iter * 5 // 4``).
    One parameter group only (ValueError otherwise).

    >>> import flambeau as fb
    >>> w = fb.tensor([3.0, -2.0], requires_grad=True)
    >>> opt = fb.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> round(opt.step(closure).item(), 4)
    13.0
    >>> [round(v, 4) for v in w.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        check_lr(lr)
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self):
        return self.param_groups[0]["params"]

    def _flat_grad(self):
        flat = [
            as_real(flambeau.zeros_like(p) if p.grad is None else p.grad).reshape(-1)
            for p in self._params
        ]
        return flambeau.cat(flat)

    def _move(self, size: float, direction) -> None:
        start = 0
        for p in map(as_real, self._params):
            end = start + p.numel()
            p.add_(direction[start:end].view(p.shape), alpha=size)
            start = end

    def _evaluate_at(self, closure, origin, size, direction):
        """Return loss and flat gradient at ``origin + size * direction``; come back."""
        self._move(size, direction)
        loss = float(closure())
        grad = self._flat_grad()
        for p, value in zip(self._params, origin):
            p.copy_(value)
        return loss, grad

    def step(self, closure):
        """Run up to ``max_iter`` iterations; return the loss before the first of them.

        ``closure`` clears the gradients, computes the loss, calls backward and returns the loss.
        """

        def with_grad():
            with flambeau.enable_grad():
                return closure()

        with flambeau.no_grad():
            return self._run(with_grad)

    def _run(self, closure):
        group = self.param_groups[0]
        lr, small = scalar(group["lr"]), group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss, grad = float(first_loss), self._flat_grad()
        evals = 1
        state["func_evals"] += 1
        if grad.abs().max().item() <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            _new_direction(state, grad, group["history_size"])
            if state.get("prev_flat_grad") is None:
                state["prev_flat_grad"] = grad.clone()
            else:
                state["prev_flat_grad"].copy_(grad)
            state["prev_loss"] = loss
            cold = state["n_iter"] == 1
            size = min(1.0, 1.0 / grad.abs().sum().item()) * lr if cold else lr
            slope = grad.dot(state["d"]).item()
            state["t"] = size
            if slope > -small:
                break
            last = iteration == group["max_iter"]
            loss, grad, used = self._advance(closure, state, loss, grad, slope, evals, last)
            evals += used
            state["func_evals"] += used
            if (
                last
                or evals >= group["max_eval"]
                or grad.abs().max().item() <= group["tolerance_grad"]
                or state["d"].mul(state["t"]).abs().max().item() <= small
                or abs(loss - state["prev_loss"]) < small
            ):
                break
        return first_loss

    def _advance(self, closure, state, loss, grad, slope, evals, last):
        """Step along ``state["d"]``; return new loss, new gradient and the evaluations used."""
        group = self.param_groups[0]
        search, d = group["line_search_fn"], state["d"]
        if search is None:
            self._move(state["t"], d)
            if last:
                return loss, grad, 0
            return float(closure()), self._flat_grad(), 1
        if search != "strong_wolfe":
            raise RuntimeError(f"only 'strong_wolfe' is supported as line_search_fn, got {search}")
        origin = [p.clone() for p in self._params]
        loss, grad, size, used = strong_wolfe(
            lambda t: self._evaluate_at(closure, origin, t, d),
            state["t"],
            d,
            loss,
            grad,
            slope,
            max_ls=group["max_eval"] - evals,
        )
        state["t"] = size
        self._move(size, d)
        return loss, grad, used


def _new_direction(state: dict, grad, history_size: int) -> None:
    """Set ``state["d"]`` by the two-loop recursion over the remembered changes."""
    if state["n_iter"] == 1:
        state.update(d=grad.neg(), old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return
    changes, moves, ro = state["old_dirs"], state["old_stps"], state["ro"]
    y = grad.sub(state["prev_flat_grad"])
    s = state["d"].mul(state["t"])
    ys = y.dot(s)
    if ys.item() > 1e-10:
        if len(changes) == history_size:
            for remembered in (changes, moves, ro):
                remembered.pop(0)
        changes.append(y)
        moves.append(s)
        ro.append(1.0 / ys)
        state["H_diag"] = ys / y.dot(y)
    al = state.setdefault("al", [None] * history_size)
    q = grad.neg()
    for i in range(len(changes) - 1, -1, -1):
        al[i] = moves[i].dot(q) * ro[i]
        q.sub_(changes[i] * al[i])
    d = q.mul(state["H_diag"])
    for i in range(len(changes)):
        d.add_(moves[i] * (al[i] - changes[i].dot(d) * ro[i]))
    state["d"] = d
