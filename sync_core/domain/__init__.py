"""The words of the product: ids, and frozen dataclasses of rosters, accounts, settings, classes, runs and events."""
