"""Numbered acceptance stories on the whole local world."""
