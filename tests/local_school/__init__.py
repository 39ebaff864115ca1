"""The generated school."""
