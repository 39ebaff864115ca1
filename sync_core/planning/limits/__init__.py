"""The limits: an implausible snapshot is rejected, and an excessive part of a plan is held until an admin approves."""
