"""A generated UK secondary school: the same every time, with names as real schools have them."""
