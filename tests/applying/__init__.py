"""One change made true in Graph."""
