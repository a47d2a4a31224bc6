"""The evidence: methods measured on frames, and the tables and pictures made from what was measured."""
