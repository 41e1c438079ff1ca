"""The strong-Wolfe line search of L-BFGS: bracket a good step, then zoom in on it."""

from __future__ import annotations

import math


class _Point:
    """A step size with the loss, the gradient and the slope along the direction there."""

    __slots__ = ("grad", "loss", "size", "slope")

    def __init__(self, size, loss, grad, slope):
        self.size, self.loss, self.grad, self.slope = size, loss, grad, slope


def strong_wolfe(
    evaluate, size, direction, loss, grad, slope, c1=1e-4, c2=0.9, tolerance_change=1e-9, max_ls=25
):
    """Find a step that meets the strong Wolfe conditions (Nocedal and Wright, algorithm 3.5).

    ``evaluate(size)`` returns loss and flat gradient at that step; ``slope`` is the derivative
    along ``direction`` at 0. Returns ``(loss, gradient, size, evaluations)``.
    """
    start = _Point(0.0, loss, grad.clone(), slope)

    def at(t):
        f, g = evaluate(t)
        return _Point(t, f, g, g.dot(direction).item())

    def too_high(point):
        return point.loss > loss + c1 * point.size * slope

    bracket, tries, done = _bracket(at, start, size, too_high, c2, max_ls)
    low, high = (0, 1) if bracket[0].loss <= bracket[-1].loss else (1, 0)
    evals = tries + 1
    reach = direction.abs().max().item()
    stuck = False
    while not done and tries < max_ls:
        a, b = bracket
        if abs(b.size - a.size) * reach < tolerance_change:
            break
        t, stuck = _inside(_cubic_minimum(a, b), a.size, b.size, stuck)
        new = at(t)
        evals += 1
        tries += 1
        if too_high(new) or new.loss >= bracket[low].loss:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
            continue
        if abs(new.slope) <= -c2 * slope:
            done = True
        elif new.slope * (bracket[high].size - bracket[low].size) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
    best = bracket[low if len(bracket) > 1 else 0]
    return best.loss, best.grad, best.size, evals


def _bracket(at, start, size, too_high, c2, max_ls):
    """Walk outwards until an interval must hold a good step, or a good step is met."""
    previous, new = start, at(size)
    for tries in range(max_ls):
        if too_high(new) or (tries > 1 and new.loss >= previous.loss):
            return [previous, new], tries, False
        if abs(new.slope) <= -c2 * start.slope:
            return [new], tries, True
        if new.slope >= 0:
            return [previous, new], tries, False
        t = new.size
        bounds = (t + 0.01 * (t - previous.size), t * 10)
        previous, new = new, at(_cubic_minimum(previous, new, bounds))
    return [start, new], max_ls, False


def _inside(t, a, b, stuck):
    """Keep a trial step away from the ends of its interval when it hugs them twice."""
    low, high = min(a, b), max(a, b)
    margin = 0.1 * (high - low)
    if min(high - t, t - low) >= margin:
        return t, False
    if not (stuck or t >= high or t <= low):
        return t, True
    return (high - margin if abs(t - high) < abs(t - low) else low + margin), False


def _cubic_minimum(a: _Point, b: _Point, bounds=None) -> float:
    """Minimise the cubic through two points with their slopes, within bounds (equation 3.59)."""
    x1, x2 = a.size, b.size
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (x1 - x2)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    if x1 <= x2:
        t = x2 - (x2 - x1) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    else:
        t = x1 - (x1 - x2) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2))
    return min(max(t, low), high)
