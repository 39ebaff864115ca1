"""From a snapshot to a plan, by pure functions: only `school_plan` reads, and nothing here writes."""
