"""Why a person is in a class or not: the facts, the causes with their sentences, and the next sync."""
