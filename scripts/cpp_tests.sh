#!/usr/bin/env bash
# Builds and runs the C++ tests (tests/cpp/*.cpp); SANITIZE=1 adds the address and
# undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/${VENV:-.venv}/bin:$PATH"
dir=build/cpp
sanitize=OFF
if [ "${SANITIZE:-0}" = 1 ]; then
  dir=build/cpp-sanitize
  sanitize=ON
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
fi
cmake -S tests/cpp -B "$dir" -G Ninja -DFLAMBEAU_SANITIZE=$sanitize ${CMAKE_ARGS:-} >/dev/null
cmake --build "$dir" -j "${JOBS:-2}" | tail -n 5
ctest --test-dir "$dir" --output-on-failure
