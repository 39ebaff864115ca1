"""Tests of both sides of the benchmarks."""
