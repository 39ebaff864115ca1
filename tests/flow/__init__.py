"""Numbered acceptance stories on the complete local world."""
