"""Microsoft Graph: classes and their people, the two deltas, and the rate limits."""
