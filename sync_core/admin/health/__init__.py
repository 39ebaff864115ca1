"""The health of the app: what each check found, and what to do where something is wrong."""
