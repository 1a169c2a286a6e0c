#include "map.h"

#define SMALLEST 64

static bool map_resize(map *map, size_t capacity, budget *memory) {
    struct map old = *map;
    slot *slots = budget_alloc(memory, capacity * sizeof *slots);
    if (slots == NULL) return false;
    map->slots = slots;
    map->capacity = capacity;
    map->used = 0;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].hash != 0) map_insert(map, old.slots[i].hash, old.slots[i].item);
    budget_free(memory, old.slots, old.capacity * sizeof *slots);
    return true;
}

bool map_reserve(map *map, budget *memory) {
    if (4 * (map->used + 1) <= 3 * map->capacity) return true;
    size_t capacity = map->capacity ? 2 * map->capacity : SMALLEST;
    return map_resize(map, capacity, memory) || map->used + 1 < map->capacity;
}

void map_shrink(map *map, budget *memory) {
    size_t capacity = map->capacity;
    while (capacity > SMALLEST && 8 * map->used < capacity) capacity /= 2;
    if (capacity < map->capacity) map_resize(map, capacity, memory);
}

void map_insert(map *map, uint64_t hash, void *item) {
    size_t mask = map->capacity - 1, at = hash & mask;
    while (map->slots[at].hash != 0) at = (at + 1) & mask;
    map->slots[at] = (slot){hash, item};
    map->used++;
}

void map_remove(map *map, slot *removed) {
    size_t mask = map->capacity - 1, gap = (size_t)(removed - map->slots), next = gap;
    for (;;) {
        next = (next + 1) & mask;
        if (map->slots[next].hash == 0) break;
        size_t home = map->slots[next].hash & mask;
        if (((next - home) & mask) >= ((next - gap) & mask)) {
            map->slots[gap] = map->slots[next];
            gap = next;
        }
    }
    map->slots[gap] = (slot){0, NULL};
    map->used--;
}

void map_free(map *map, budget *memory) {
    budget_free(memory, map->slots, map->capacity * sizeof *map->slots);
    *map = (struct map){0};
}

bool vector_grow(void **items, size_t *capacity, size_t used, size_t size, budget *memory) {
    if (used < *capacity) return true;
    size_t larger = *capacity ? 2 * *capacity : 64;
    void *grown = realloc(*items, larger * size);
    if (grown == NULL) return false;
    memory->used += (larger - *capacity) * size;
    *items = grown;
    *capacity = larger;
    return true;
}
