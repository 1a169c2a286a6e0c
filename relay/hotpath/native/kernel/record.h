/* Reads a record of a partial into a cell, after checking each field.
 *
 * Theory. The checksum of a frame has no key: a program that can write to the state directory can write a valid frame
 * with any content. So each field is checked against what a hot path can have written: counts that can have arrived,
 * finite numbers, positive weights, no more samples, bins and members than their containers hold, ranks of registers
 * in their range, and only the containers of the kind. relay/hotpath/records.py has the same rules.
 *
 * The arrays stay the caller's. */
#ifndef RELAY_RECORD_H
#define RELAY_RECORD_H

#include "cell.h"

/* A hundred times the samples of an hour: the counts of many records add up. */
#define RECORD_SAMPLES_MOST ((uint64_t)1 << 40)
#define RECORD_EXACT_MOST 32768
#define BIN_LEAST (BIN_BIAS - 1036)
#define BIN_MOST (BIN_BIAS + 35489)

typedef struct record {
    enum kind kind;
    uint64_t samples;
    double count, sum, low, high, last, last_at;
    bool has_sketch, binned; /* binned: the sketch has bins, else samples */
    const sample *exact;
    const bin *positive, *negative;
    size_t exact_used, positive_used, negative_used;
    double zero;
    bool has_hashes; /* of a set: it has hashes, else registers */
    const uint64_t *hashes;
    size_t hashes_used;
    span registers;
} record;

bool record_is_valid(const record *record);

/* Fills a cell, which the caller clears, also after a failure. False: the record is not valid, or memory is missing.
 * */
bool record_read(const record *record, cell *into, budget *memory);

#endif
