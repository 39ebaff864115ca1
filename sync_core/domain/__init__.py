"""The words of the product as frozen dataclasses: rosters, accounts, settings, classes, runs and webhook events."""
