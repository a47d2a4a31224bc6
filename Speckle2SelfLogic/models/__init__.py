"""Model cards (JSON) and weight files shipped with the package."""
