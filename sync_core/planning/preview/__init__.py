"""What a sync would do, before it does it."""
