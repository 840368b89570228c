"""A classifier for car photos: damaged or not, how sure it is, and where it sees the damage."""

__version__ = "0.1.0"  # pyproject.toml has the same
