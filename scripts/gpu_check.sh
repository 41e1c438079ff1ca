#!/bin/bash
# Builds, tests and times Flambeau on a machine with an NVIDIA GPU; writes docs/gpu_report.md.
#
#   scripts/gpu_check.sh            everything (build, tests, checks, timings)
#   QUICK=1 scripts/gpu_check.sh    tiny sizes and a few tests: the rehearsal on the simulator
#
# PYTHON: the interpreter to use; SKIP: any of "build tests sanitizer torch times", left out.
set -u
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
REPORT=${REPORT:-docs/gpu_report.md}
SKIP=" ${SKIP:-} "
QUICK=${QUICK:-0}
LOGS=build/gpu-check
mkdir -p "$LOGS"
export PYTHONPATH=$PWD/src FLAMBEAU_CACHE_DIR=${FLAMBEAU_CACHE_DIR:-$PWD/$LOGS/cache}
wanted() { [[ $SKIP != *" $1 "* ]]; }
# step NAME COMMAND...: runs it with its output in a file, notes how it ended and how long it took
step() {
  local name=$1 start=$SECONDS
  shift
  "$@" >"$LOGS/$name.log" 2>&1
  local code=$?
  echo "$name $code $((SECONDS - start))" >>"$LOGS/steps"
  echo "$name: exit $code after $((SECONDS - start)) s ($LOGS/$name.log)"
}
: >"$LOGS/steps"

step machine bash -c 'nvidia-smi; uname -a; '"$PYTHON"' --version'
if wanted build; then
  step build bash -c "cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DFLAMBEAU_DEV=ON -DPython_EXECUTABLE=$(command -v "$PYTHON") && cmake --build build/gpu"
fi
if wanted tests; then
  if [ "$QUICK" = 1 ]; then
    step tests "$PYTHON" -m pytest -q -m cuda -k "test_cuda_api or test_cuda_tensors" tests
  else
    step tests "$PYTHON" -m pytest -q -m cuda tests
    # one driver allocation a tensor: what lies outside it is out of bounds for a checker
    step tests_no_pool env FLAMBEAU_CUDA_POOL=0 "$PYTHON" -m pytest -q -m cuda \
      tests/test_cuda_ops.py -k "test_value"
  fi
fi
if wanted sanitizer && command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    step "sanitizer_$tool" env FLAMBEAU_CUDA_POOL=0 compute-sanitizer --tool "$tool" \
      --error-exitcode 9 "$PYTHON" scripts/gpu_check.py --small
  done
fi
if wanted torch && "$PYTHON" -c "import torch; assert torch.cuda.is_available()" 2>/dev/null; then
  step against_torch "$PYTHON" scripts/gpu_check.py --compare
fi
if wanted times; then
  step times "$PYTHON" scripts/gpu_check.py --times "$LOGS/times.md" \
    $([ "$QUICK" = 1 ] && echo --tiny)
fi
"$PYTHON" scripts/gpu_check.py --report "$REPORT" --logs "$LOGS"
echo "report: $REPORT"
awk '$2 != 0 && $1 != "machine" { bad = 1 } END { exit bad }' "$LOGS/steps"
