"""Tests of the benchmarks: a comparison is worth as much as both of its sides."""
