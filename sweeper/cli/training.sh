#!/bin/sh
# A training of your own, in any language: it is started for each trial. It is given values by its
# arguments, as the study file says, and all of them by its environment: SWEEPER_PARAMS (JSON),
# SWEEPER_SEED, SWEEPER_ORDER_SEED, SWEEPER_FOLDER, SWEEPER_DEVICE, SWEEPER_DATA, SWEEPER_ARM,
# SWEEPER_REPEAT, SWEEPER_SLOT, SWEEPER_ATTEMPT, SWEEPER_PENALTY (JSON).
set -eu
export LC_ALL=C
rate=$1 width=$2

# What it prints is kept in the folder of the trial. A line of JSON with "epoch" is a point of its
# learning curve; the last one with "validation" is its result, or the file result.json in its
# folder. What it leaves in its folder, the next attempt finds there.
echo "arm $SWEEPER_ARM, seed $SWEEPER_SEED"
awk -v rate="$rate" -v width="$width" 'BEGIN {
    for (epoch = 1; epoch <= 5; epoch++) {
        quality = 1 - 1 / (1 + epoch * rate * sqrt(width) * 10)
        printf "{\"epoch\": %d, \"val_accuracy\": %f}\n", epoch, quality
    }
    printf "{\"size\": %d, \"validation\": %f, \"test\": %f}\n", 75 * width, quality, quality
}'
