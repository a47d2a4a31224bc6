"""The data of training and evidence: simulated sets with known truth, real sets split by subject and device."""
