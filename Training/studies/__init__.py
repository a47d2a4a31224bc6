"""Trainings that answer a question: what each choice is worth (ablations), and what happens on an unseen device.

    python -m Training.studies ablations --dataset_dir SIMULATED --data REAL --out RUNS
    python -m Training.studies devices --dataset_dir SIMULATED --data REAL --out RUNS

What is trained stands in `ablations.yaml` and `devices.yaml`; every training runs through the bundle.
"""
