"""The installed command `mis-class-sync`: on this machine, and on a deployment over the admin API."""
