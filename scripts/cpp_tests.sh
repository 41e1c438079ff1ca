#!/usr/bin/env bash
# Builds and runs the C++ tests (tests/cpp/*.cpp); SANITIZE=1 adds the address and
# undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/${VENV:-.venv}/bin:$PATH"
if ! compgen -G "tests/cpp/*.cpp" >/dev/null; then
  echo "cpp tests: tests/cpp holds no .cpp file" >&2
  exit 1
fi
dir=build/cpp
sanitize=OFF
if [ "${SANITIZE:-0}" = 1 ]; then
  dir=build/cpp-sanitize
  sanitize=ON
  export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
fi
mkdir -p build
cmake -S . -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFLAMBEAU_CPP_TESTS=ON \
  -DFLAMBEAU_SANITIZE=$sanitize >"$dir.log" 2>&1 || { cat "$dir.log"; exit 1; }
cmake --build "$dir" --target flambeau_cpp_tests -j "${JOBS:-2}"
ctest --test-dir "$dir" --output-on-failure
