/* How many different members a set has, in bounded memory; the same states and answers as relay/hotpath/sketch.py.
 *
 * Theory. Up to 2,048 members their XXH64 is kept in an open-addressed table, which counts exactly. Beyond, 2^14
 * registers of a HyperLogLog hold the longest run of zeros seen for their share of the hashes (standard error 0.81 %);
 * the estimate is Ertl's improved raw estimator (arXiv:1702.01284, algorithm 6).
 *
 * Growth: 8, 16 .. 4096 slots, half full at most at 2,048; then 16 KiB for good. Cost: one hash and one probe. */
#ifndef RELAY_DISTINCT_H
#define RELAY_DISTINCT_H

#include "base.h"

#define REGISTERS (1u << SET_PRECISION)
#define RANK_MOST (64 - SET_PRECISION + 1) /* of a register */

typedef struct distinct {
    uint64_t *hashes; /* 0: free; the hash 0 is kept in has_zero */
    uint8_t *registers; /* NULL: exact */
    uint32_t used, capacity;
    bool has_zero;
    bool lost; /* no memory, not even for registers: the count is a lower bound */
} distinct;

void distinct_free(distinct *set, budget *memory);
void distinct_add(distinct *set, uint64_t hash, budget *memory);
void distinct_coarsen(distinct *set, budget *memory);
void distinct_merge(distinct *set, const distinct *other, budget *memory);
double distinct_cardinality(const distinct *set);

#endif
