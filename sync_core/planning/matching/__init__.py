"""How MIS people find their accounts, what is shown of those who do not, and the guard against a rule that fails."""
