"""Two processes train like one with twice the batch."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import torch

from Testing.training.tiny import average_of, tiny_settings, trained, write_items
from Training.bundle import ROOT, config_path
from Training.checkpoints import latest_checkpoint, read_checkpoint
from Training.progress import read_history

WHOLE_FRAMES = [
    {"_target_": "Training.transforms.ReadGreyd", "keys": ["speckled", "truth"]},
    {"_target_": "EnsureTyped", "keys": ["speckled", "truth"], "track_meta": False},
]
"""Nothing random: two processes draw other numbers than one."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_train_like_one_with_twice_the_batch(tmp_path):
    items = write_items(tmp_path / "simulated")
    settings = tiny_settings(items, tmp_path / "one", batch=4, epochs=2, learning_rate=0.01, warmup_steps=1)
    settings["train#preprocessing#transforms"] = WHOLE_FRAMES
    one = average_of(trained(["train"], settings))
    del settings["device"]
    arguments = [
        f"--{key}={json.dumps(value)}" for key, value in (settings | {"batch": 2}).items() if key != "output_dir"
    ]
    configs = str([config_path("train"), config_path("multi_gpu_train")])
    command = [
        sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nnodes=1", "--nproc_per_node=2",
        f"--master_port={free_port()}", "--master_addr=127.0.0.1", "-m", "monai.bundle", "run",
        f"--config_file={configs}", f"--bundle_root={ROOT}", f"--output_dir={tmp_path / 'two'}", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=1200, env=environment, cwd=ROOT.parent, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    curves = [[(row["loss"], row["psnr_db"]) for row in read_history(tmp_path / run)] for run in ("one", "two")]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
    two = read_checkpoint(latest_checkpoint(tmp_path / "two" / "checkpoints"))["average"]
    for name, values in one.items():
        torch.testing.assert_close(two[name], values, rtol=1e-3, atol=1e-5)
