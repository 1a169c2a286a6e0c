/* Two hashes: a keyed one for the tables, and XXH64 for members of sets.
 *
 * Theory. The table's hash multiplies 64 x 64 -> 128 bits and folds the halves, with random secrets of this process:
 * without them a sender cannot choose names that collide. It reads a span by overlapping words, within its ends.
 * Cost: one multiplication for each 16 bytes and one for a shorter rest.
 *
 * XXH64 with seed 0 is part of the partial format (relay/hotpath/partial.py). It follows the published specification;
 * a test compares it with the xxhash package. */
#ifndef RELAY_HASH_H
#define RELAY_HASH_H

#include "base.h"

typedef struct hash_key {
    uint64_t secret[4];
} hash_key;

static inline uint64_t hash_mix(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(const hash_key *key, uint64_t state, span text) {
    const uint8_t *at = text.at;
    size_t size = text.size;
    state ^= key->secret[0] ^ size;
    if (LIKELY(size >= 16)) {
        const uint8_t *end = at + size;
        for (; end - at > 16; at += 16) state = hash_mix(load64(at) ^ key->secret[1], load64(at + 8) ^ state);
        return hash_mix(load64(end - 16) ^ key->secret[2], load64(end - 8) ^ state);
    }
    uint64_t low = 0, high = 0;
    if (size >= 8) {
        low = load64(at);
        high = load64(at + size - 8);
    } else if (size >= 4) {
        low = load32(at);
        high = load32(at + size - 4);
    } else if (size > 0) {
        low = (uint64_t)at[0] << 16 | (uint64_t)at[size >> 1] << 8 | at[size - 1];
    }
    return hash_mix(low ^ key->secret[2], high ^ state);
}

/* 0 marks a free slot, so the highest bit is always set; the low bits choose the slot. */
static inline uint64_t hash_finish(uint64_t state) { return state | (uint64_t)1 << 63; }

uint64_t xxh64(span text);

#endif
