"""A generated UK secondary school: the same every time, with the names that real schools have."""
