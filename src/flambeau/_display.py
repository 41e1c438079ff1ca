"""How tensors look: the text of repr(), print options, and number formatting."""

from __future__ import annotations

from contextlib import contextmanager
from math import floor, inf, isfinite

_DEFAULTS = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80}
_PROFILES = {
    "default": _DEFAULTS,
    "short": {**_DEFAULTS, "precision": 2, "edgeitems": 2},
    "full": {**_DEFAULTS, "threshold": inf},
}
_options = {**_DEFAULTS, "sci_mode": None}
_GAP = object()  # stands for the elements that a summary leaves out


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
):
    """Set how tensors print; what is None keeps its value, except `sci_mode`.

    precision: digits after the point; threshold: more elements than this are summarised;
    edgeitems: elements shown at each end of a summary; linewidth: characters per line;
    profile: "default", "short" or "full"; sci_mode: True or False forces or forbids the
    scientific form, None (every call that leaves it out) lets the values decide.

    Raises ValueError for an unknown profile.

    >>> import flambeau as fb
    >>> fb.set_printoptions(precision=2)
    >>> fb.tensor([1.12345])
    tensor([1.12])
    >>> fb.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(
                f"set_printoptions: unknown profile {profile!r}; use 'default', 'short' or 'full'"
            )
        _options.update(_PROFILES[profile])
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions():
    """Return the print options as a dict that `set_printoptions(**options)` accepts.

    >>> import flambeau as fb
    >>> fb.get_printoptions()["precision"]
    4
    """
    return dict(_options)


@contextmanager
def printoptions(**options):
    """Change the print options inside a `with` block; takes what `set_printoptions` takes.

    >>> import flambeau as fb
    >>> with fb.printoptions(precision=1):
    ...     print(fb.tensor([0.25, 0.5]))
    tensor([0.2, 0.5])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


class _NumberStyle:
    """The common format of a block of numbers: whole, fixed-point or scientific; one width."""

    def __init__(self, values, floating):
        self.floating, self.whole, self.scientific, self.width = floating, True, False, 1
        if not floating:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        # Zeros, infinities and NaN do not take part in choosing the form.
        values = [v for v in values if v != 0 and isfinite(v)]
        if not values:
            return
        sizes = [abs(v) for v in values]
        least, most = min(sizes), max(sizes)
        self.whole = all(v.is_integer() for v in values)
        self.scientific = _options["sci_mode"]
        if self.scientific is None:
            self.scientific = most / least > 1000.0 or most > 1e8 or least < 1e-4
        self.width = max(len(self._digits(v)) for v in values)

    def _digits(self, value):
        if self.scientific:
            return f"{value:.{_options['precision']}e}"
        if self.whole:
            return f"{value:.0f}." if isfinite(value) else f"{value:.0f}"
        return f"{value:.{_options['precision']}f}"

    def __call__(self, value):
        text = self._digits(value) if self.floating else str(value)
        return text.rjust(self.width)


class _ComplexStyle:
    """Real and imaginary parts, each in its own style."""

    def __init__(self, values):
        self.real = _NumberStyle([v.real for v in values], True)
        self.imag = _NumberStyle([v.imag for v in values], True)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value):
        imag = self.imag(value.imag).lstrip()
        return self.real(value.real) + (imag if imag[0] in "+-" else "+" + imag) + "j"


def _corners(t):
    """Return (t without its middle, the dims that were cut), so that only corners convert."""
    edge = _options["edgeitems"]
    cut = [n > 2 * edge for n in t.shape]
    # Longest first: what is left to copy shrinks as fast as possible.
    for dim in sorted(range(t.dim()), key=lambda d: -t.shape[d]):
        if cut[dim]:
            from . import cat

            ends = t.narrow(dim, 0, edge), t.narrow(dim, t.shape[dim] - edge, edge)
            t = cat(ends, dim)
    return t, cut


def _with_gaps(rows, cut):
    """Insert _GAP in the middle of every list level whose dimension was cut."""
    if not cut:
        return rows
    rows = [_with_gaps(row, cut[1:]) for row in rows]
    if cut[0]:
        rows.insert(_options["edgeitems"], _GAP)
    return rows


def _flat(rows):
    if not isinstance(rows, list):
        return [] if rows is _GAP else [rows]
    if rows and not isinstance(rows[0], list) and rows[0] is not _GAP:
        return [v for v in rows if v is not _GAP]
    return [v for row in rows for v in _flat(row)]


def _layout(rows, ndim, indent, style):
    """Write nested lists with brackets; `indent` columns stand before the opening bracket."""
    if ndim == 0:
        return style(rows)
    inner = " " * (indent + 1)
    if ndim > 1:
        parts = ["..." if r is _GAP else _layout(r, ndim - 1, indent + 1, style) for r in rows]
        return "[" + ("," + "\n" * (ndim - 1) + inner).join(parts) + "]"
    per_line = max(1, floor((_options["linewidth"] - indent) / (style.width + 2)))
    lone = "..." if len(rows) == 1 else " ..."
    words = [lone if v is _GAP else style(v) for v in rows]
    lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
    return "[" + (",\n" + inner).join(lines) + "]"


def _contents(t, indent):
    """Return the bracketed values of a non-empty tensor of any dtype on a real device."""
    cut = [False] * t.dim()
    if t.numel() > _options["threshold"]:
        t, cut = _corners(t)
    # A tensor cut to nothing (edgeitems=0) has no list to speak of.
    rows = _with_gaps(t.tolist(), cut) if t.numel() else [_GAP]
    ndim = t.dim() if t.numel() else 1
    values = _flat(rows)
    if t.dtype.is_complex:
        style = _ComplexStyle(values)
    else:
        style = _NumberStyle(values, t.dtype.is_floating_point)
    return _layout(rows, ndim, indent, style)


def _graph_note(t):
    node = t.grad_fn
    if node is None:
        return "requires_grad=True" if t.requires_grad else None
    name = node.name() if callable(getattr(node, "name", None)) else type(node).__name__
    return f"grad_fn=<{name.rsplit('::', 1)[-1]}>"


def _notes(t):
    """Return what follows the values: device, size, dtype, gradient, in this order."""
    from . import bool as bool_dtype
    from . import complex64, complex128, float64, get_default_dtype, int64

    default = get_default_dtype()
    notes = []
    if t.device.type != "cpu":
        notes.append(f"device='{t.device}'")
    size = f"size={tuple(t.shape)}"
    obvious = {default, complex128 if default == float64 else complex64, int64, bool_dtype}
    if t.device.type == "meta":
        notes.append(size)
        obvious = {default}
    elif t.numel() == 0:
        obvious = {default}
        if t.dim() != 1:
            notes.append(size)
    elif not _options["edgeitems"]:
        notes.append(size)
    if t.dtype not in obvious:
        notes.append(f"dtype={t.dtype}")
    graph = _graph_note(t)
    return notes if graph is None else [*notes, graph]


def _append(text, notes, indent):
    """Add notes behind the values, on a new line where the line would grow too long."""
    used = len(text) - text.rfind("\n") + 1
    for note in notes:
        if used + len(note) + 2 > _options["linewidth"]:
            text += ",\n" + " " * indent + note
            used = indent + len(note)
        else:
            text += ", " + note
            used += len(note) + 2
    return text + ")"


def tensor_repr(t):
    """Return the text of repr(t): t is a tensor of any shape, dtype and device.

    Long tensors are summarised before any value is converted, so that printing is quick
    whatever the size. The text is the one that PyTorch prints.

    >>> import flambeau as fb
    >>> fb.tensor([[1.0, 0.5], [2.0, 0.25]])
    tensor([[1.0000, 0.5000],
            [2.0000, 0.2500]])
    """
    from . import Tensor, no_grad

    name = type(t).__name__
    # A Parameter announces itself in its own __repr__ and prints as a tensor after that.
    prefix = "tensor(" if type(t) is Tensor or name == "Parameter" else f"{name}("
    notes = _notes(t)
    if t.device.type == "meta":
        values = "..."
    elif t.numel() == 0:
        values = "[]"
    else:
        with no_grad():
            values = _contents(t.detach(), len(prefix))
    return _append(prefix + values, notes, len(prefix))


def tensor_format(t, spec):
    """Return format(t, spec): a 0-d tensor formats as its number, others only with no spec.

    Raises TypeError for a tensor with dimensions and a non-empty spec.

    >>> import flambeau as fb
    >>> f"{fb.tensor(2.5):.2f}"
    '2.50'
    """
    if t.dim() == 0 and t.device.type != "meta":
        return format(t.item(), spec)
    if not spec:
        return str(t)
    raise TypeError(
        f"unsupported format string passed to {type(t).__name__}.__format__: {spec!r} formats one "
        f"number, this tensor has shape {tuple(t.shape)}; pick an element, use .item() on a "
        f"one-element tensor, or print it under flambeau.printoptions(precision=...)"
    )


def tensor_html(t):
    """Return the notebook view of a tensor (str of HTML): facts, statistics and a picture."""
    from ._html import tensor_html as build

    return build(t)
