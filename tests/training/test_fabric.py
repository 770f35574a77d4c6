"""A run is one process on one device, whatever has launched it."""

import os

import pytest
from torch import nn

from relbench.training.fabric import fabric_on

LAUNCHED = {
    "Slurm, by tasks": {"SLURM_NTASKS": "4"},
    "Slurm, in a job": {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"},
    "Slurm, oddly": {"SLURM_PROCID": ""},
    "torchrun": {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "1", "GROUP_RANK": "0"},
    "Lightning": {"LT_CLI_USED": "1", "LT_DEVICES": "4", "LT_ACCELERATOR": "cuda", "LT_PRECISION": "16-mixed"},
    "LSF": {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "/none", "JSM_NAMESPACE_SIZE": "2", "JSM_NAMESPACE_LOCAL_RANK": "0"},
    "MPI": {"PMI_RANK": "1", "PMI_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"},
    "Kubeflow": {"KUBERNETES_PORT": "tcp://1", "MASTER_ADDR": "x", "MASTER_PORT": "1", "WORLD_SIZE": "2", "RANK": "1"},
}


@pytest.mark.parametrize("launcher", LAUNCHED)
def test_a_launcher_is_neither_obeyed_nor_refused(monkeypatch, launcher):
    for name, value in LAUNCHED[launcher].items():
        monkeypatch.setenv(name, value)
    fabric = fabric_on("cpu", "32-true")
    assert (fabric.world_size, fabric.device.type) == (1, "cpu")
    assert fabric.setup_module(nn.Linear(2, 2)).weight.device.type == "cpu"
    assert {name: os.environ[name] for name in LAUNCHED[launcher]} == LAUNCHED[launcher]  # for others, all is there
