/* Counts the distinct members of a set in bounded memory; the same states and results as relay/hotpath/sketch.py.
 *
 * Theory. Up to 2,048 members an open-addressed table has their XXH64, which counts exactly. Beyond, a HyperLogLog
 * has 2^14 registers with the longest run of zeros in their share of the hashes (standard error 0.81 %); the estimate
 * is Ertl's improved raw estimator (arXiv:1702.01284, algorithm 6).
 *
 * Growth: 8, 16 .. 4096 slots, at most half full at 2,048 members; then 16 KiB. Cost: one hash and one probe. */
#ifndef RELAY_DISTINCT_H
#define RELAY_DISTINCT_H

#include "base.h"

#define REGISTERS (1u << SET_PRECISION)
#define RANK_MOST (64 - SET_PRECISION + 1) /* largest value of a register */

typedef struct distinct {
    uint64_t *hashes; /* 0: free slot; has_zero stands for the hash 0 */
    uint8_t *registers; /* NULL: exact */
    uint32_t used, capacity;
    bool has_zero;
    bool lost; /* there was no memory for registers: the count is a lower bound */
} distinct;

void distinct_free(distinct *set, budget *memory);
void distinct_add(distinct *set, uint64_t hash, budget *memory);
void distinct_coarsen(distinct *set, budget *memory);
void distinct_merge(distinct *set, const distinct *other, budget *memory);
double distinct_cardinality(const distinct *set);

#endif
