"""Training of the despeckling network: simulated pairs with exact truth, then self-supervision on real frames."""
