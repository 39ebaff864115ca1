"""The HTTP edge towards the MIS side: who may announce changes, and in which form."""
