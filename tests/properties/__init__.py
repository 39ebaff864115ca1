"""Properties of every input and every interleaving."""
