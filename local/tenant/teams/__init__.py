"""Teams in the simulated tenant: it copies from the directory late, and has limits of its own."""
