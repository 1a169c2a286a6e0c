/* A hash table: open addressing, linear probing, 16-byte slots.
 *
 * Theory. The map has only hashes and pointers; the caller compares the items. Hashes are keyed (hash.h) and never 0,
 * so 0 marks a free slot. A removal moves later entries back into the gap: there are no tombstones, so probes stay
 * short. The map doubles at three quarters full: 16 bytes x 1.3 to 2.7 for each item.
 *
 * Cost: one cache miss for each look-up, which map_prefetch hides. Invariant: capacity is a power of two, or 0. */
#ifndef RELAY_MAP_H
#define RELAY_MAP_H

#include "base.h"

typedef struct slot {
    uint64_t hash; /* 0: free */
    void *item;
} slot;

typedef struct map {
    slot *slots;
    size_t capacity, used;
} map;

/* Grows the map if one more item needs it; false without memory. */
bool map_reserve(map *map, budget *memory);

/* Inserts an item that is not in the map, after map_reserve. */
void map_insert(map *map, uint64_t hash, void *item);

/* Removes the item of a slot; other items may move. */
void map_remove(map *map, slot *slot);

/* Halves the map while it is under an eighth full. Without memory nothing changes. */
void map_shrink(map *map, budget *memory);

void map_free(map *map, budget *memory);

/* Iterates over the entries of one hash: `for (slot *s = map_first(m, h); s != NULL; s = map_next(m, s))`. */
static inline slot *map_probe(const map *map, slot *from, uint64_t hash) {
    size_t mask = map->capacity - 1, at = (size_t)(from - map->slots);
    while (map->slots[at].hash != hash) {
        if (map->slots[at].hash == 0) return NULL;
        at = (at + 1) & mask;
    }
    return &map->slots[at];
}

static inline slot *map_first(const map *map, uint64_t hash) {
    return map->capacity ? map_probe(map, &map->slots[hash & (map->capacity - 1)], hash) : NULL;
}

static inline slot *map_next(const map *map, const slot *after) {
    size_t at = ((size_t)(after - map->slots) + 1) & (map->capacity - 1);
    return map_probe(map, &map->slots[at], after->hash);
}

/* Returns the slot of an item that is in the map. */
static inline slot *map_slot(const map *map, uint64_t hash, const void *item) {
    slot *slot = map_first(map, hash);
    while (slot->item != item) slot = map_next(map, slot);
    return slot;
}

/* The capacity must not be 0. */
static inline void map_prefetch(const map *map, uint64_t hash) {
    __builtin_prefetch(&map->slots[hash & (map->capacity - 1)]);
}

/* A growing array of pointers or small structs; `items` is typed by its user. */
bool vector_grow(void **items, size_t *capacity, size_t used, size_t size, budget *memory);

#endif
