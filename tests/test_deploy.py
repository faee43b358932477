"""The files of deploy/ can be read by what they are for."""

import json
import subprocess
import tomllib
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


def test_the_image_is_built_of_files_that_are_here_and_starts_the_command():
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    assert steps[0] == ["FROM", "python:3.11-slim"]
    copied = [name for step, rest in steps if step == "COPY" for name in rest.split()[:-1]]
    pyproject = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    project, wheel = pyproject["project"], pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    # What the wheel is built of; without one of them the build of the image ends with an error.
    sources = {project["readme"], *wheel["packages"], *wheel["force-include"]}
    assert {".requirements.lock", "pyproject.toml", *sources} == set(copied)
    assert all((DEPLOY.parent / name).exists() for name in copied)
    installs = [rest for step, rest in steps if step == "RUN" and "uv pip install" in rest]
    assert any("-r .requirements.lock" in rest and '"ray[default]"' in rest for rest in installs)
    (entry,) = [json.loads(rest) for step, rest in steps if step == "ENTRYPOINT"]
    assert entry[0] in project["scripts"]
