"""Networks: the published graph and our own."""
