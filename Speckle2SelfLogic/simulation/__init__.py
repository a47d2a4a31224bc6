"""Phantoms and speckle image formation."""
