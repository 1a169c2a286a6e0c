/* One series over one window: 64 bytes of running statistics, plus a sketch or a set behind `extra`.
 *
 * Theory. Counters, timers and gauges share one update without a branch on the kind. `extra` points to a timer's
 * sketch or a set's members, and is allocated at the first sample. Sums saturate at the largest finite double. Cells
 * come from slabs of 1,024 and return to a list of free ones; a slab lives as long as its hot path.
 *
 * Invariants: `samples` is unweighted. `last` is the newest value by receive time, or by a gauge's timestamp; ties go
 * to the larger value. Merging is commutative, and associative up to rounding (I3). */
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
        double received; /* of counters and gauges: receive time of `last`; 0: before this process started */
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

/* Frees the sketch or the set of a cell. */
void cell_clear(cell *self, enum kind kind, budget *memory);

void cell_add_extra(cell *self, double value, double weight, budget *memory);
void cell_add_member(cell *self, span member, double now, budget *memory);
void cell_merge(cell *self, const cell *other, enum kind kind, budget *memory);

/* Adds the pending samples of a gauge; `last` is the value received last, ignoring timestamps. */
void cell_merge_gauge(cell *self, const cell *other);

/* Copies `last` and its times from another cell. */
void cell_adopt_last(cell *self, const cell *other);

/* Adds the base to the values of relative gauge samples. */
void cell_shift(cell *self, double base);

/* Adds a sample of a counter, timer or gauge. */
static inline void cell_add(cell *self, enum kind kind, double value, double weight, double now, budget *memory) {
    double count = self->count + weight, sum = self->sum + value * weight;
    if (UNLIKELY(!(fabs(sum) + count <= FINITE))) { /* a value may be too large */
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
