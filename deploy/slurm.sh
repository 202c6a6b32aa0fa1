#!/bin/bash
# A build in parts on Slurm, a task of the array a part; then the merge, when all of them have ended well.
#
#   PHOTOS=/shared/photos OUT=/shared/my-set PARTS=16 deploy/slurm.sh [options of build-redweb]
#
# Run it again after a failure: finished parts take seconds, the others go on.
set -euo pipefail
: "${PHOTOS:?the folder of the stereo photographs, which all nodes see}"
: "${OUT:?the folder of the data set, which all nodes see}"
: "${PARTS:=16}"

export PHOTOS OUT PARTS

if [[ -z "${SLURM_ARRAY_TASK_ID:-}" ]]; then
    array=$(sbatch --parsable --job-name=redweb --array="1-$PARTS" --ntasks=1 --cpus-per-task="${CPUS:-8}" \
        --mem="${MEMORY:-16G}" ${GPUS:+--gpus-per-task="$GPUS"} --requeue --signal=B:TERM@120 --open-mode=append "$0" "$@")
    sbatch --job-name=redweb-merge --dependency="afterok:${array%%;*}" --cpus-per-task=2 --wrap="redweb merge ${OUT@Q}"
    echo "parts: job $array; look at: redweb status ${OUT@Q}"
else
    # In the place of this shell, so that Slurm's signal reaches the build.
    exec redweb build-redweb "$PHOTOS" --out "$OUT" --part "$SLURM_ARRAY_TASK_ID/$PARTS" \
        --jobs "$SLURM_CPUS_PER_TASK" --quiet "$@"
fi
