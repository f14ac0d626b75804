#!/bin/bash
# Compiles the real ESPHome firmware for this host, API encryption included, from an installed esphome, g++ and
# libsodium alone: nothing is fetched.
#
#   build.sh ESPHOME API.yaml OUT     ESPHOME: the program; API.yaml: encrypted.yaml or plain.yaml; OUT: the firmware
#
# The firmware is under the GPLv3: a device to test against, of which nothing enters this project.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
esphome=$1 api=$2 out=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat "$here/device.yaml" "$here/$api" >"$work/device.yaml"
cd "$work"
HOME=$work "$esphome" -q compile --only-generate device.yaml

main=$(find "$work/.esphome" -name main.cpp -print -quit)
source=$(dirname "$main")
mkdir objects include
ln -s "$here/noise" include/noise

# Most of the time goes into the same headers in every file: they are compiled once.
cat > common.h <<'HEADERS'
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include "esphome/core/defines.h"
#include "esphome/core/application.h"
HEADERS
compile() {
    g++ -std=gnu++20 -O0 -w -fno-exceptions -DUSE_HOST -DESPHOME_LOG_LEVEL=ESPHOME_LOG_LEVEL_VERBOSE \
        -I"$source" -Iinclude "$@"
}
compile_one() {
    compile -include common.h -c -o "objects/$(tr / _ <<<"${1#"$source"/}").o" "$1"
}
export -f compile compile_one
export source
compile -x c++-header common.h -o common.h.gch
# shellcheck disable=SC2016 # for the inner shell to expand
find "$source" -name '*.cpp' -print0 | xargs -0 -P "${JOBS:-2}" -n 1 bash -c 'set -e; compile_one "$0"'
gcc -O2 -Wall -Wextra -c -o objects/noise.o "$here/noise/noise.c"
g++ -o "$work/firmware" objects/*.o -lsodium -lpthread
gcc -O2 -Wall -Wextra -shared -fPIC -o "$work/loopback.so" "$here/loopback.c" -ldl

mkdir -p "$(dirname "$out")"
mv "$work/loopback.so" "$(dirname "$out")/loopback.so"
mv "$work/firmware" "$out"
