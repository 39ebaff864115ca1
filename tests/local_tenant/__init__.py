"""The simulated tenant: it refuses what Microsoft refuses."""
