"""One change made true in Graph and then recorded."""
