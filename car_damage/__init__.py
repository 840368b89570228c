"""Tell damaged cars from undamaged ones, and how far the answer can be trusted."""
