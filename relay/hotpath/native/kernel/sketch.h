/* Quantiles of a timer in bounded memory; the same states and results as relay/hotpath/sketch.py.
 *
 * Theory. The first samples (64, or more: `exact` of the budget) are stored exactly. Beyond, logarithmic bins add
 * their weights (DDSketch layout, gamma = 1.01/0.99): bin i has gamma^(i-1) < v <= gamma^i, each sign has its bins,
 * and |v| < 1e-9 counts as zero. The bins of a sign are an open-addressed table; the hash is the index itself.
 * Neighbours in value are neighbours in memory, so a timer costs no more than with a dense array, and two far
 * outliers cost two entries. A bin has 16 bytes, so adding to it touches one cache line.
 *
 * Growth: 4, 8 .. samples up to their bound; 16, 32 .. 4096 slots for bins, at most three quarters full. At 2,048
 * bins of a sign the lowest two are merged. At the bound of memory a sign keeps 64 slots, and a value without a bin
 * goes to the nearest one. Invariants: indices are -1,036 .. 35,489, stored with BIN_BIAS so that 0 is a free slot;
 * weights > 0. */
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

/* The cell has the least and the greatest value. All zeros is a valid state. */
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

/* Prefetches the bin that a value probably goes to. A logarithm to within a hundredth is enough for that. It follows
 * from the bits of the double: log2(2^e (1+m)) is about e + m + 0.34 m (1-m); a value doubles every 34.657 bins. */
static inline void sketch_prefetch(const sketch *self, double value) {
    if (!self->binned || self->positive.capacity == 0 || value < SKETCH_ZERO) return;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    double exponent = (double)((int)(bits >> 52) - 1023), m = (double)(int64_t)(bits & (((uint64_t)1 << 52) - 1)) * 0x1p-52;
    int index = (int)((exponent + m + 0.34 * m * (1 - m)) * 34.657 + 1);
    __builtin_prefetch(&self->positive.slots[(uint32_t)(index + BIN_BIAS) & (self->positive.capacity - 1)], 1);
}

/* Moves the exact samples to bins. */
void sketch_coarsen(sketch *self, budget *memory);

/* Adds the weights of `other`. */
void sketch_merge(sketch *self, const sketch *other, budget *memory);

/* Returns the smallest value whose cumulative weight reaches q of the total, within [low, high]; 0 for an empty one.
 * */
double sketch_quantile(const sketch *self, double q, double low, double high);

/* Copies the content as samples in ascending order; returns how many, at most sketch_size. */
size_t sketch_ascending(const sketch *self, sample *into);

static inline size_t sketch_size(const sketch *self) {
    return (size_t)self->exact_used + self->negative.used + self->positive.used + 1;
}

/* Adds a weight to one bin; false without memory. */
bool bins_add(bins *side, uint32_t key, double weight, budget *memory);

#endif
