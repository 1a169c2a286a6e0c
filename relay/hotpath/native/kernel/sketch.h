/* Quantiles of a timer in bounded memory; the same states and answers as relay/hotpath/sketch.py.
 *
 * Theory. Up to 64 samples are kept as they came. Beyond, weights are added in logarithmic bins (DDSketch layout, gamma
 * = 1.01/0.99): bin i holds gamma^(i-1) < v <= gamma^i, one set of bins a side, |v| < 1e-9 counts as zero. A side is an
 * open-addressed table whose hash is the index itself: bins that lie side by side in value lie side by side in memory,
 * so a timer costs no more than a dense array would, and two far outliers no more than two entries.
 *
 * Growth: samples 4, 8 .. 64; bins 32, 64 .. 4096, three quarters full at most. At 2,048 bins a side the lowest two
 * become one. Invariants: indices are -1,036 .. 35,489, stored with BIN_BIAS so that 0 is a free slot; weights > 0. */
#ifndef RELAY_SKETCH_H
#define RELAY_SKETCH_H

#include "base.h"

#define BIN_BIAS 2048

typedef struct sample {
    double value, weight;
} sample;

typedef struct bins {
    uint16_t *keys; /* index + BIN_BIAS; 0: free */
    double *weights;
    uint32_t capacity, used;
} bins;

typedef struct sketch {
    double low, high, zero;
    sample *exact;
    uint32_t exact_used, exact_capacity;
    bool binned;
    bins positive, negative;
} sketch;

void sketch_init(sketch *self);
void sketch_free(sketch *self, budget *memory);

/* Adds one finite value; weight > 0. */
void sketch_add(sketch *self, double value, double weight, budget *memory);

/* Gives up the exact samples. */
void sketch_coarsen(sketch *self, budget *memory);

/* Adds the weights of `other`, which is not changed. */
void sketch_merge(sketch *self, const sketch *other, budget *memory);

/* Returns the smallest value whose cumulative weight reaches q of the total, 0 for an empty sketch. */
double sketch_quantile(const sketch *self, double q);

/* For the partial format: put one bin into a side; false without memory. */
bool bins_add(bins *side, uint16_t key, double weight, budget *memory);

#endif
