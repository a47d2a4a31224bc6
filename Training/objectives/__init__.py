"""Objectives: what a network is asked for in training, one file for each idea."""
