"""The files of deploy/ can be read by what they are for."""

import subprocess
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_batch_script_is_a_script_that_hands_its_cores_on():
    script = DEPLOY / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert 'srun --cpus-per-task="$SLURM_CPUS_PER_TASK"' in text
    assert "RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT" in text


def test_a_job_on_kubernetes_scales_between_its_replicas():
    job = yaml.safe_load((DEPLOY / "kuberay-job.yaml").read_text())
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert cluster["enableInTreeAutoscaling"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert job["spec"]["backoffLimit"] == 0


def test_the_file_of_rays_launcher_names_head_and_workers():
    cluster = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    assert {"head_ip", "worker_ips"} <= cluster["provider"].keys()
