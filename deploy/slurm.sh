#!/bin/bash
#SBATCH --job-name=lmd-bench
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
#SBATCH --exclusive
# Before `sbatch` activate the environment that has lmd-bench, and export LMD_BENCH_DATA and LMD_BENCH_CACHE,
# two shared folders: the job takes your environment over. Set nodes, GPUs and cores above to your machines';
# without GPUs remove --gpus-per-node.
# One Ray node per machine; the search runs on the first and ends with the job, two minutes before its
# time is up at the latest. Submit the same line again to go on. Options of `lmd-bench search` follow the
# script's name; --results must be shared, and so must the home folder, where the token lies.
# Exclusive, since `ray symmetric-run` ends every Ray of yours on a machine when it is done.
set -euo pipefail

export RAY_AUTH_MODE=token
export RAY_USAGE_STATS_ENABLED=0
ray get-auth-token --generate > /dev/null  # makes ~/.ray/auth_token where there is none
head_host=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))

# srun takes no cores over from sbatch, and a node with its environment on a network disk starts slowly.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$head_host:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- \
    lmd-bench search --address auto "$@"
