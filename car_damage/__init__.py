"""Tell damaged cars from undamaged ones, and how far the answer can be trusted."""

__version__ = "0.1.0"  # pyproject.toml has the same
