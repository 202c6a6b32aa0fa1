#!/bin/bash
# A build on a Ray cluster that Slurm starts: one job of several nodes, Ray on all of them, the build on the first.
#
#   PHOTOS=/shared/photos OUT=/shared/my-set NODES=4 deploy/slurm-ray.sh [options of build-redweb]
#
# The job is queued again when it is preempted or a node fails, and goes on. Run it again after a failure.
set -euo pipefail
: "${PHOTOS:?the folder of the stereo photographs, which all nodes see}"
: "${OUT:?the folder of the data set, which all nodes see}"
: "${NODES:=4}"

export PHOTOS OUT NODES

if [[ -z "${SLURM_JOB_ID:-}" ]]; then
    job=$(sbatch --parsable --job-name=redweb-ray --nodes="$NODES" --ntasks-per-node=1 --cpus-per-task="${CPUS:-16}" \
        --mem="${MEMORY:-32G}" ${GPUS:+--gpus-per-node="$GPUS"} --requeue --open-mode=append "$0" "$@")
    echo "job $job; look at: redweb status ${OUT@Q}"
else
    # A port for each job, since nodes may be shared.
    read -r head_node < <(scontrol show hostnames "$SLURM_JOB_NODELIST")  # `| head` would end in SIGPIPE
    address="$head_node:$((20000 + SLURM_JOB_ID % 10000))"
    # srun does not take over the cores of a task: all workers of a node would share one.
    srun --nodes="$NODES" --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        ray symmetric-run --address "$address" --min-nodes "$NODES" --num-cpus="$SLURM_CPUS_PER_TASK" \
        ${GPUS:+--num-gpus="$GPUS"} -- \
        redweb build-redweb "$PHOTOS" --out "$OUT" --engine ray --address "$address" --quiet "$@"
fi
