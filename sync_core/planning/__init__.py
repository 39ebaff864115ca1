"""Pure functions from a snapshot to a plan: only `school_plan` reads, and nothing here writes."""
