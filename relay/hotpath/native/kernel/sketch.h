/* Quantiles of a timer in bounded memory; the same states and answers as relay/hotpath/sketch.py.
 *
 * Theory. As many samples as the budget says (64, or more) are kept as they came. Beyond, weights are added in
 * logarithmic bins (DDSketch layout, gamma = 1.01/0.99): bin i holds gamma^(i-1) < v <= gamma^i, one set of bins a side,
 * |v| < 1e-9 counts as zero. A side is an open-addressed table whose hash is the index itself: bins that lie side by side
 * in value lie side by side in memory, so a timer costs no more than a dense array would, and two far outliers no more
 * than two entries. A bin is 16 bytes, so adding to it touches one cache line.
 *
 * Growth: samples 4, 8 and so on to their bound; bins 16, 32 .. 4096, three quarters full at most. At 2,048 bins a side
 * the lowest two become one. At the bound of memory a side stops at 64 slots, and what finds no bin joins the nearest one.
 * Invariants: indices are -1,036 .. 35,489, stored with BIN_BIAS so that 0 is a free slot; weights > 0. */
#ifndef RELAY_SKETCH_H
#define RELAY_SKETCH_H

#include "base.h"

#define BIN_BIAS 2048

typedef struct sample {
    double value, weight;
} sample;

typedef struct bin {
    double weight;
    uint32_t key; /* index + BIN_BIAS; 0: free */
} bin;

typedef struct bins {
    bin *slots;
    uint32_t capacity, used;
} bins;

/* The least and the greatest value are the cell's. Zeros are a valid state. */
typedef struct sketch {
    bins positive;
    sample *exact;
    uint16_t exact_used, exact_capacity;
    bool binned;
    bins negative;
    double zero;
} sketch;

void sketch_free(sketch *self, budget *memory);

/* Adds one finite value; weight > 0. */
void sketch_add(sketch *self, double value, double weight, budget *memory);

/* Fetches the bin that a value is probably going to. Its logarithm to within a hundredth is enough for that, and follows
 * from the bits of the double: log2(2^e (1+m)) is nearly e + m + 0.34 m (1-m); 34.657 bins double a value. */
static inline void sketch_prefetch(const sketch *self, double value) {
    if (!self->binned || self->positive.capacity == 0 || value < SKETCH_ZERO) return;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    double exponent = (double)((int)(bits >> 52) - 1023), m = (double)(int64_t)(bits & (((uint64_t)1 << 52) - 1)) * 0x1p-52;
    int index = (int)((exponent + m + 0.34 * m * (1 - m)) * 34.657 + 1);
    __builtin_prefetch(&self->positive.slots[(uint32_t)(index + BIN_BIAS) & (self->positive.capacity - 1)], 1);
}

/* Gives up the exact samples. */
void sketch_coarsen(sketch *self, budget *memory);

/* Adds the weights of `other`, which is not changed. */
void sketch_merge(sketch *self, const sketch *other, budget *memory);

/* Returns the smallest value whose cumulative weight reaches q of the total, within [low, high]; 0 for an empty one. */
double sketch_quantile(const sketch *self, double q, double low, double high);

/* Copies what the sketch holds as samples, in ascending order; returns how many: up to sketch_size. */
size_t sketch_ascending(const sketch *self, sample *into);

static inline size_t sketch_size(const sketch *self) {
    return (size_t)self->exact_used + self->negative.used + self->positive.used + 1;
}

/* For the partial format: put one bin into a side; false without memory. */
bool bins_add(bins *side, uint32_t key, double weight, budget *memory);

#endif
