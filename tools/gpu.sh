#!/bin/sh
# Measures longprompt on the GPU of this Linux machine, which needs nothing but a Vulkan driver: unpacks what `npm run gpu` packed and
# runs it. Writes docs/bench/<adapter>.json after each part, so that nothing is lost if it is stopped.
#   tools/gpu.sh [PACK.tar.gz] [--seconds N] [--out FOLDER] [--tiny]
set -eu

pack=dist-gpu/longprompt-gpu.tar.gz
case "${1-}" in
-h | --help)
  sed -n '2,4s/^# *//p' "$0"
  exit 0
  ;;
-* | '') ;;
*)
  pack=$1
  shift
  ;;
esac
if [ ! -f "$pack" ]; then
  echo "gpu.sh: got no $pack, want what npm run gpu writes. Run that first, or name the file." >&2
  exit 1
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -C "$folder" -xzf "$pack"
folder_of_pack=$folder/longprompt-gpu

# The loader of the machine, where it has one.
if ! ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then
  export LD_LIBRARY_PATH="$folder_of_pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
# Drivers where the loader does not look.
if [ -z "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}" ] &&
  ! ls /etc/vulkan/icd.d/*.json /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1; then
  found=$(ls /usr/local/nvidia/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json 2>/dev/null | paste -sd: -)
  if [ -n "$found" ]; then export VK_DRIVER_FILES="$found"; fi
fi

commit=$(git describe --always --dirty 2>/dev/null || true)
"$folder_of_pack/node" "$folder_of_pack/main.mjs" ${commit:+--commit "$commit"} "$@"
