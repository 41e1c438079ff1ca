"""Nested tuples, lists and dicts of values: flatten them, and build them again."""

from __future__ import annotations


def leaves(tree):
    """The values of a nest, in order; dicts in the order of their keys."""
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (tuple, list)):
        return [tree]
    return [v for t in tree for v in leaves(t)]


def rebuild(tree, values):
    """A nest like `tree` with its values taken from `values`, in the order of `leaves`."""
    return _fill(tree, iter(values))


def _fill(tree, it):
    if isinstance(tree, dict):
        return type(tree)((k, _fill(v, it)) for k, v in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_fill(v, it) for v in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(_fill(v, it) for v in tree)
    return next(it)
