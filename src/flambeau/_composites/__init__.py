"""Composite functions, one file a family; `flambeau.functional` collects them."""
