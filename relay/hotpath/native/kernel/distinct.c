#include "distinct.h"

#include <math.h>

#define REST_BITS (64 - SET_PRECISION)
#define MEMBERS_MOST 0x1p64 /* hashes have 64 bits */

static void free_hashes(distinct *set, budget *memory) {
    budget_free(memory, set->hashes, set->capacity * sizeof *set->hashes);
    set->hashes = NULL;
    set->used = set->capacity = 0;
    set->has_zero = false;
}

void distinct_free(distinct *set, budget *memory) {
    free_hashes(set, memory);
    budget_free(memory, set->registers, REGISTERS);
    set->registers = NULL;
}

static void add_register(distinct *set, uint64_t hash) {
    uint64_t rest = hash << SET_PRECISION;
    uint8_t rank = (uint8_t)(rest ? __builtin_clzll(rest) + 1 : REST_BITS + 1);
    uint8_t *held = &set->registers[hash >> REST_BITS];
    if (rank > *held) *held = rank;
}

void distinct_coarsen(distinct *set, budget *memory) {
    if (set->registers != NULL) return;
    set->registers = budget_alloc(memory, REGISTERS);
    if (set->registers == NULL) return;
    for (uint32_t i = 0; i < set->capacity; i++)
        if (set->hashes[i] != 0) add_register(set, set->hashes[i]);
    if (set->has_zero) add_register(set, 0);
    free_hashes(set, memory);
}

static uint32_t find_slot(const distinct *set, uint64_t hash) {
    uint32_t slot = (uint32_t)hash & (set->capacity - 1);
    while (set->hashes[slot] != 0 && set->hashes[slot] != hash) slot = (slot + 1) & (set->capacity - 1);
    return slot;
}

static bool grow(distinct *set, budget *memory) {
    distinct old = *set;
    uint32_t capacity = old.capacity ? 2 * old.capacity : 8;
    uint64_t *hashes = budget_alloc(memory, capacity * sizeof *hashes);
    if (hashes == NULL) return false;
    set->hashes = hashes;
    set->capacity = capacity;
    for (uint32_t i = 0; i < old.capacity; i++)
        if (old.hashes[i] != 0) hashes[find_slot(set, old.hashes[i])] = old.hashes[i];
    budget_free(memory, old.hashes, old.capacity * sizeof *hashes);
    return true;
}

/* Says whether another exact member fits; at the bound of memory only small sets stay exact. */
static bool may_grow(const distinct *set, const budget *memory) {
    if (set->used >= SET_EXACT) return false;
    return set->used < QUANTILE_EXACT || !budget_full(memory);
}

void distinct_add(distinct *set, uint64_t hash, budget *memory) {
    if (set->registers == NULL) {
        if (hash == 0 ? set->has_zero : set->capacity != 0 && set->hashes[find_slot(set, hash)] == hash) return;
        if (may_grow(set, memory) && (4 * (set->used + 1) <= 3 * set->capacity || grow(set, memory))) {
            set->used++;
            if (hash == 0) set->has_zero = true;
            else set->hashes[find_slot(set, hash)] = hash;
            return;
        }
        distinct_coarsen(set, memory);
    }
    if (set->registers != NULL) add_register(set, hash);
    else set->lost = true;
}

void distinct_merge(distinct *set, const distinct *other, budget *memory) {
    if (other->registers != NULL) {
        distinct_coarsen(set, memory);
        for (size_t i = 0; set->registers != NULL && i < REGISTERS; i++)
            if (other->registers[i] > set->registers[i]) set->registers[i] = other->registers[i];
        return;
    }
    for (uint32_t i = 0; i < other->capacity; i++)
        if (other->hashes[i] != 0) distinct_add(set, other->hashes[i], memory);
    if (other->has_zero) distinct_add(set, 0, memory);
}

/* The share of empty registers: sum of 2^(k-1) x^(2^k). */
static double sigma(double x) {
    if (x == 1.0) return INFINITY;
    double y = 1.0, z = x, before = -1.0;
    while (z != before) {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    }
    return z;
}

/* The share of full registers. */
static double tau(double x) {
    if (x == 0.0 || x == 1.0) return 0.0;
    double y = 1.0, z = 1.0 - x, before = -1.0;
    while (z != before) {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
    }
    return z / 3.0;
}

double distinct_cardinality(const distinct *set) {
    if (set->registers == NULL) return set->used;
    double count[REST_BITS + 2] = {0}, size = REGISTERS;
    for (size_t i = 0; i < REGISTERS; i++) count[set->registers[i]] += 1;
    double z = size * tau(1.0 - count[REST_BITS + 1] / size);
    for (unsigned rank = REST_BITS; rank > 0; rank--) z = 0.5 * (z + count[rank]);
    z += size * sigma(count[0] / size);
    double estimate = nearbyint(size * size / (2.0 * log(2.0)) / z); /* z is 0 if all registers are full */
    return estimate < MEMBERS_MOST ? estimate : MEMBERS_MOST;
}
