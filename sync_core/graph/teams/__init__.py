"""The class teams of a tenant, through Microsoft Graph and within the limits of Teams."""
