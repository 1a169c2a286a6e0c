/* One series over one window: 64 bytes of running statistics, plus a sketch or a set behind `extra`.
 *
 * Theory. Counters, timers and gauges share one update without a branch on the kind; a timer's sketch and a set's
 * members hang on `extra`, which is made with the first sample. Sums saturate at the largest finite double.
 * Cells come from slabs of 1,024 and go back to a list of free ones; a slab lives as long as its core.
 *
 * Invariants: `samples` is unweighted; `last` is by time, ties by the larger value: when it was received, and of a gauge
 * that came with a time, that; merge is commutative, and associative up to rounding (I3). */
#ifndef RELAY_CELL_H
#define RELAY_CELL_H

#include "distinct.h"
#include "sketch.h"

#include <math.h>

typedef struct cell {
    double count, sum, low, high, last, last_at;
    uint64_t samples;
    union {
        void *extra;     /* sketch of a timer, distinct of a set, or the next free cell */
        double received; /* of counters and gauges: when `last` was received; 0: before this process */
    };
} cell;

typedef struct cells {
    cell *free;
    void **slabs;
    size_t slabs_used, slabs_capacity;
} cells;

/* Returns an empty cell, or NULL without memory. */
cell *cell_new(cells *pool, budget *memory);
void cell_free(cells *pool, cell *self, enum kind kind, budget *memory);
void cells_free(cells *pool);

/* Frees what hangs on a cell. */
void cell_clear(cell *self, enum kind kind, budget *memory);

void cell_add_extra(cell *self, double value, double weight, budget *memory);
void cell_add_member(cell *self, span member, double now, budget *memory);
void cell_merge(cell *self, const cell *other, enum kind kind, budget *memory);

/* Adds samples of a gauge that waited for its name: what was received last is last, whatever its own time. */
void cell_merge_gauge(cell *self, const cell *other);

/* Lets another gauge's last value be the last one. */
void cell_adopt_last(cell *self, const cell *other);

/* Moves the values of relative gauge samples to their base. */
void cell_shift(cell *self, double base);

/* Adds a sample of anything but a set. */
static inline void cell_add(cell *self, enum kind kind, double value, double weight, double now, budget *memory) {
    double count = self->count + weight, sum = self->sum + value * weight;
    if (UNLIKELY(!(fabs(sum) + count <= FINITE))) { /* one of them may be too large */
        count = saturate(count);
        sum = saturate(self->sum + saturate(value * weight));
    }
    self->samples++;
    self->count = count;
    self->sum = sum;
    self->low = value < self->low ? value : self->low;
    self->high = value > self->high ? value : self->high;
    self->last = value;
    self->last_at = now;
    if (kind == TIMER) cell_add_extra(self, value, weight, memory);
    else self->received = now;
}

#endif
