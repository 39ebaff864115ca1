"""The admin API: who calls, and whether it keeps to its own document."""
