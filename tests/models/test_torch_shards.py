"""Tensors of PyTorch that several local processes hold in parts."""

import subprocess
import sys
from pathlib import Path

import pytest

IN_EACH = """
import os, sys
os.environ["GLOO_SOCKET_IFNAME"] = "lo"
import numpy as np, torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_tensor
import crosscheck, jax

rank, path = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
torch.manual_seed(0)
x = distribute_tensor(torch.randn(4, 3), mesh, [Shard(0)])
report = crosscheck.compare(torch.tanh, jax.numpy.tanh, [x], order=0)
print("inputs", report.passed, report.comparisons[0].points)

plain = torch.nn.Sequential(torch.nn.Linear(3, 2))
sharded = fully_shard(torch.nn.Sequential(torch.nn.Linear(3, 2)), mesh=mesh)
port = lambda p, x: x @ p["w"].T + p["b"]
def compared(model, params):
    return crosscheck.compare_models(model, port, [np.ones((2, 3), np.float32)], params=params, order=0)
params = {"w": sharded[0].weight.full_tensor().detach().numpy(), "b": sharded[0].bias.full_tensor().detach().numpy()}
optimizer = torch.optim.SGD(sharded.parameters(), 0.1)
def trained():
    return crosscheck.compare_training(print, print, [[np.ones(3)]], torch_state=(sharded, optimizer), jax_state=params)
for refused in (lambda: compared(sharded, params), trained):
    try:
        refused()
    except crosscheck.UsageError as error:
        print("refused", error)
state = {name: one.full_tensor() if hasattr(one, "full_tensor") else one for name, one in sharded.state_dict().items()}
plain.load_state_dict(state)
print("whole", compared(plain, params).passed)
dist.destroy_process_group()
"""


@pytest.mark.full
def test_tensors_in_parts_are_read_whole_and_models_of_them_refused_with_what_to_pass(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", IN_EACH]
    runs = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meeting")], stdout=-1, stderr=-1, text=True)
        for rank in (0, 1)
    ]
    for said, failed in [run.communicate(timeout=300) for run in runs]:
        first, model, training, last = said.splitlines() or [failed] * 4
        assert first == "inputs True 12", failed
        assert model.startswith("refused torch_model: its 0.weight is a DTensor"), failed
        assert "load_state_dict({name: one.full_tensor()" in model
        assert training.startswith("refused torch_state: its 0.weight is a DTensor"), failed
        assert last == "whole True", failed
