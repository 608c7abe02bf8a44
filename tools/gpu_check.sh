#!/usr/bin/env bash
# What a machine with a GPU can tell of detres, in about fifteen minutes; from anywhere, nothing is fetched.
#
#   tools/gpu_check.sh              on the GPU
#   tools/gpu_check.sh --tiny       the same steps on the CPU, at toy sizes: does all of it run? (or GPU_CHECK_TINY=1)
#
#   OUT=gpu_check                   where summary.json, the benchmark's rows and a log of each step go
#   PYTHON=python3                  the interpreter that has detres's dependencies
#   GPU_CHECK_SECONDS=460           after so many no row of the benchmark begins
#
# Exit status 0 where every step passed.
set -u

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python3}
OUT=${OUT:-$PWD/gpu_check}
SECONDS_OF_BENCHMARK=${GPU_CHECK_SECONDS:-460}
TINY=${GPU_CHECK_TINY:-}
case "${1:-}" in
    "") ;;
    --tiny) TINY=1 ;;
    *) echo "gpu_check.sh: $1 is no option of it; there is --tiny" >&2; exit 2 ;;
esac
[ "$TINY" = 0 ] && TINY=

mkdir -p "$OUT/logs" || exit 2
OUT=$(cd "$OUT" && pwd)
SETS=${DETRES_DATASETS:-$OUT/datasets}
RUN=$OUT/run
# A run that is there would be gone on with, or refused.
rm -rf "$RUN" "$OUT/predictions"
rm -f "$OUT/summary.json" "$OUT"/benchmark.json "$OUT"/benchmark.md "$OUT"/logs/*.log
export PYTHONUNBUFFERED=1 PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH} DETRES_DATASETS=$SETS
cd "$ROOT" || exit 2

DEVICE=cuda
BENCHMARK=(--seconds "$SECONDS_OF_BENCHMARK")
TRAINING=(training.steps=300 training.batch=8 training.precision=bf16 training.log_every=10)
PATIENCE=1
if [ -n "$TINY" ]; then
    DEVICE=cpu
    BENCHMARK+=(--tiny)
    TRAINING=(training.steps=12 training.batch=2 training.log_every=1 "data.shortest_side=[64]" data.longest_side=96
        data.workers=0 "data.val=[]" "data.test=[]")
    PATIENCE=4 # CPUs differ more than the GPUs that this is for.
fi

PASSED=true
STEPS=()

# step NAME SECONDS COMMAND...: run it within so many seconds, with a log of its own.
step() {
    local name=$1 limit=$(($2 * PATIENCE))
    shift 2
    local begun=$SECONDS
    timeout -k 10 "$limit" "$@" >"$OUT/logs/$name.log" 2>&1
    note "$name" $? $((SECONDS - begun))
}

# note NAME STATUS SECONDS: what became of a step.
note() {
    local state=passed
    [ "$2" -eq 0 ] || { state=failed; PASSED=false; }
    [ "$2" -eq 124 ] || [ "$2" -eq 137 ] && state="out of time"
    STEPS+=("{\"name\": \"$1\", \"state\": \"$state\", \"status\": $2, \"seconds\": $3, \"log\": \"logs/$1.log\"}")
    echo "$1: $state in $3 s"
    [ "$state" = passed ] || tail -n 5 "$OUT/logs/$1.log" | sed 's/^/    /'
    summary false
}

# summary WHOLE: all steps so far; a check that is killed leaves what it has.
summary() {
    local IFS=$'\n' lines
    lines=$(printf '  %s,\n' "${STEPS[@]}")
    printf '{"passed": %s, "complete": %s, "tiny": %s, "steps": [\n%s\n]}\n' \
        "$PASSED" "$1" "$([ -n "$TINY" ] && echo true || echo false)" "${lines%,}" >"$OUT/summary.json"
}

TRAIN=("$PYTHON" tools/train_det.py --cfg shapes_r18_fpn --device "$DEVICE" --out "$RUN" "${TRAINING[@]}")

# A training that is asked to stop once it has told of a step, as a cluster would: it ends with a checkpoint, and 130.
interrupted_training() {
    local deadline=$((SECONDS + $1))
    "${TRAIN[@]}" &
    local pid=$!
    until [ -s "$RUN/metrics.jsonl" ] || ! kill -0 $pid 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || { kill -KILL $pid; echo "no line of its losses in $1 s"; return 124; }
        sleep 0.2
    done
    kill -TERM $pid 2>/dev/null
    wait $pid
    local status=$?
    [ $status -eq 130 ] || { echo "the training ended with status $status, expected 130"; return 1; }
}

[ -n "$TINY" ] || nvidia-smi || echo "no nvidia-smi"
step doctor 60 "$PYTHON" -m detres doctor
# The files with tests for a GPU alone: to collect all others takes minutes.
mapfile -t TESTS < <(grep -rl --include='test_*.py' 'mark\.gpu' tests)
step tests 180 "$PYTHON" -m pytest -q -rs -p no:cacheprovider -m gpu "${TESTS[@]}"
# A row that has begun is let come to its end; one that compiles takes minutes.
step benchmark $((SECONDS_OF_BENCHMARK + 240)) \
    "$PYTHON" tools/benchmark.py gpu "${BENCHMARK[@]}" --device "$DEVICE" --json "$OUT/benchmark.json"

begun=$SECONDS
interrupted_training $((120 * PATIENCE)) >"$OUT/logs/training.log" 2>&1
note training $? $((SECONDS - begun))
step resume 180 "${TRAIN[@]}" --resume
step eval 120 "$PYTHON" tools/eval_det.py --weights "$RUN" --device "$DEVICE" --split val "data.val=[val]"
step predict 60 "$PYTHON" tools/predict.py --weights "$RUN" --device "$DEVICE" --score 0.05 --out "$OUT/predictions" \
    "$SETS"/shapes/JPEGImages/00000[1-4].*

summary true
echo "$OUT/summary.json: $([ $PASSED = true ] && echo "every step passed" || echo "not every step passed")"
[ $PASSED = true ]
