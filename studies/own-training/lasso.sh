#!/bin/sh
# Lasso in POSIX shell and awk: a command as a trial. Its arguments are the values of the trial:
#   sh lasso.sh RULE STRENGTH SEED FOLDER
# RULE is soft or hard: how coefficients below the strength are thresholded.
set -eu
export LC_ALL=C
rule=$1 strength=$2 seed=$3 folder=$4
epochs=20
data=$folder/data.csv state=$folder/coefficients

# 40 features, neighbours alike, of which every fifth one matters, the later the less; then noise.
# The data are the same for all trials, drawn by a generator that every awk computes alike.
if [ ! -f "$data" ]; then
    awk '
        function draw() { x = (x * 16807) % 2147483647; return x / 2147483647 }
        function normal(  sum, k) { for (k = sum = 0; k < 12; k++) sum += draw(); return sum - 6 }
        BEGIN {
            x = 20261129
            for (row = 0; row < 400; row++) {
                line = ""; y = last = 0
                for (j = 1; j <= 40; j++) {
                    last = 0.6 * last + 0.8 * normal()
                    if (j % 5 == 1) y += last * 2 / (1 + j / 5)
                    line = line sprintf("%.6f,", last)
                }
                printf "%s%.6f\n", line, y + 0.5 * normal()
            }
        }' > "$data.new"
    mv "$data.new" "$data"
fi

# Coordinate descent on 200 rows, drawn with replacement by the seed; 100 rows are for validation,
# 100 for the test. After each epoch the coefficients are kept, for an attempt that goes on.
awk -F , -v rule="$rule" -v strength="$strength" -v seed="$seed" -v epochs="$epochs" \
    -v state="$state" '
    function draw() { x = (x * 16807) % 2147483647; return x / 2147483647 }
    function explained(first, last,  row, j, fit, mean, left, all) {  # R2 of some rows
        for (row = first; row <= last; row++) mean += Y[row] / (last - first + 1)
        for (row = first; row <= last; row++) {
            fit = 0
            for (j = 1; j <= p; j++) fit += b[j] * X[row, j]
            left += (Y[row] - fit) ^ 2; all += (Y[row] - mean) ^ 2
        }
        return left < all ? 1 - left / all : 0
    }
    { p = NF - 1; for (j = 1; j <= p; j++) X[NR, j] = $j; Y[NR] = $NF }
    END {
        x = seed % 2147483646 + 1; n = 200; done = 0
        for (i = 1; i <= n; i++) { draw(); row[i] = 1 + int(n * draw()) }
        for (j = 1; j <= p; j++) b[j] = 0
        if ((getline line < state) > 0) {
            split(line, part, " "); done = part[1]
            for (j = 1; j <= p; j++) b[j] = part[j + 1]
        }
        for (epoch = done + 1; epoch <= epochs; epoch++) {
            for (i = 1; i <= n; i++) {  # anew: an attempt that goes on has the same bits
                residual[i] = Y[row[i]]
                for (j = 1; j <= p; j++) residual[i] -= b[j] * X[row[i], j]
            }
            for (j = 1; j <= p; j++) {
                slope = square = 0
                for (i = 1; i <= n; i++) {
                    slope += X[row[i], j] * residual[i]; square += X[row[i], j] ^ 2
                }
                best = b[j] + slope / square; small = strength * n / square
                size = best < 0 ? -best : best
                if (size <= small) best = 0
                else if (rule == "soft") best -= (best < 0 ? -small : small)
                change = best - b[j]; b[j] = best
                if (change) for (i = 1; i <= n; i++) residual[i] -= change * X[row[i], j]
            }
            line = epoch; for (j = 1; j <= p; j++) line = line sprintf(" %.17g", b[j])
            print line > (state ".new"); close(state ".new")
            system("mv \"" state ".new\" \"" state "\"")
            printf "{\"epoch\": %d, \"val_r2\": %.6f}\n", epoch, explained(201, 300)
            fflush()
        }
        for (j = 1; j <= p; j++) if (b[j]) nonzero++
        printf "{\"size\": %d, \"total\": %d, ", nonzero, p
        printf "\"validation\": %.9f, \"test\": %.9f, ", explained(201, 300), explained(301, 400)
        printf "\"epochs_of_this_attempt\": %d}\n", epochs - done
    }' "$data"
