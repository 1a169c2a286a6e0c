/* A record of a partial on its way back into a cell, checked field by field.
 *
 * Theory. The frame's checksum has no key: whoever can write the state directory can write a frame that is whole and says
 * anything. So nothing is used before it was compared with what a hot path can have written: counts within
 * what can arrive, numbers finite, weights positive, as many samples, bins and members as their containers take, ranks of
 * registers within their range, and no container that the kind does not have. relay/hotpath/records.py has the same rules.
 *
 * The arrays belong to the caller and are not kept. */
#ifndef RELAY_RECORD_H
#define RELAY_RECORD_H

#include "cell.h"

#define RECORD_SAMPLES_MOST ((uint64_t)1 << 40) /* a hundred times what arrives in an hour: counts of many records add up */
#define RECORD_EXACT_MOST 32768
#define BIN_LEAST (BIN_BIAS - 1036)
#define BIN_MOST (BIN_BIAS + 35489)

typedef struct record {
    enum kind kind;
    uint64_t samples;
    double count, sum, low, high, last, last_at;
    bool has_sketch, binned; /* a sketch has samples or bins */
    const sample *exact;
    const bin *positive, *negative;
    size_t exact_used, positive_used, negative_used;
    double zero;
    bool has_hashes; /* a set has hashes or registers */
    const uint64_t *hashes;
    size_t hashes_used;
    span registers;
} record;

bool record_is_sound(const record *record);

/* Makes a cell of a sound record; the caller clears it. False: it is not sound, or there is no memory. */
bool record_read(const record *record, cell *into, budget *memory);

#endif
