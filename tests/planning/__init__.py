"""Pure rooms, example by example."""
