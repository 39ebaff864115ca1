"""Tests, a folder for each way of looking."""
