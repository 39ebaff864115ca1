"""What must hold for every input, and for every interleaving."""
