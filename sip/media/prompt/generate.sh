#!/bin/sh
# Makes the queue prompt: a Russian and an English sentence, 8 kHz A-law without a
# header, ready for RTP. Needs the Debian packages espeak-ng and sox.
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

espeak-ng -v ru -s 145 -w "$tmp/ru.wav" \
  'Вы позвонили в службу сто двенадцать. Оставайтесь на линии, оператор ответит вам в ближайшее время.'
espeak-ng -v en -s 150 -w "$tmp/en.wav" \
  'You have reached emergency service one one two. Please stay on the line. An operator will answer you shortly.'

# -R: the same dither every time, so that the file changes only with its text.
sox -R "$tmp/ru.wav" "$tmp/en.wav" -r 8000 -c 1 "$tmp/all.wav" \
  gain -n -6 highpass 250 lowpass 3400 \
  compand 0.005,0.1 -50,-50,-25,-12,0,-4 gain -n -2 pad 0.2 0.4
sox -R "$tmp/all.wav" -t al -r 8000 -c 1 queue.al
sox -t al -r 8000 -c 1 queue.al -n stat 2>&1 | grep -E 'Length|RMS +amplitude|Maximum amplitude'
