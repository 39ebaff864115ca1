"""Some groups of a school read again, without the rest of it, by the readers that read the whole school."""
