#include "cell.h"

#include "hash.h"

#define SLAB_CELLS 1024

static bool add_slab(cells *pool) {
    if (pool->slabs_used == pool->slabs_capacity) {
        size_t capacity = pool->slabs_capacity ? 2 * pool->slabs_capacity : 64;
        void **grown = realloc(pool->slabs, capacity * sizeof *grown);
        if (grown == NULL) return false;
        pool->slabs = grown;
        pool->slabs_capacity = capacity;
    }
    cell *slab = aligned_alloc(64, SLAB_CELLS * sizeof *slab);
    if (slab == NULL) return false;
    pool->slabs[pool->slabs_used++] = slab;
    for (size_t i = SLAB_CELLS; i-- > 0;) {
        slab[i].extra = pool->free;
        pool->free = &slab[i];
    }
    return true;
}

cell *cell_new(cells *pool, budget *memory) {
    if (pool->free == NULL && !add_slab(pool)) return NULL;
    cell *self = pool->free;
    pool->free = self->extra;
    *self = (cell){.low = INFINITY, .high = -INFINITY, .last_at = -INFINITY};
    memory->used += sizeof *self;
    return self;
}

void cell_clear(cell *self, enum kind kind, budget *memory) {
    if ((kind != TIMER && kind != SET) || self->extra == NULL) return;
    if (kind == TIMER) {
        sketch_free(self->extra, memory);
        budget_free(memory, self->extra, sizeof(sketch));
    } else {
        distinct_free(self->extra, memory);
        budget_free(memory, self->extra, sizeof(distinct));
    }
    self->extra = NULL;
}

void cell_free(cells *pool, cell *self, enum kind kind, budget *memory) {
    if (self == NULL) return;
    cell_clear(self, kind, memory);
    memory->used -= sizeof *self;
    self->extra = pool->free;
    pool->free = self;
}

void cells_free(cells *pool) {
    for (size_t i = 0; i < pool->slabs_used; i++) free(pool->slabs[i]);
    free(pool->slabs);
}

static sketch *sketch_of(cell *self, budget *memory) {
    if (UNLIKELY(self->extra == NULL)) self->extra = budget_alloc(memory, sizeof(sketch));
    return self->extra;
}

static distinct *distinct_of(cell *self, budget *memory) {
    if (UNLIKELY(self->extra == NULL)) self->extra = budget_alloc(memory, sizeof(distinct));
    return self->extra;
}

void cell_add_extra(cell *self, double value, double weight, budget *memory) {
    sketch *sketch = sketch_of(self, memory);
    if (LIKELY(sketch != NULL)) sketch_add(sketch, value, weight, memory);
}

void cell_add_member(cell *self, span member, double now, budget *memory) {
    self->samples++;
    self->last_at = now;
    distinct *set = distinct_of(self, memory);
    if (LIKELY(set != NULL)) distinct_add(set, xxh64(member), memory);
}

static void merge_extra(cell *self, const cell *other, enum kind kind, budget *memory) {
    if ((kind != TIMER && kind != SET) || other->extra == NULL) return;
    if (kind == TIMER && sketch_of(self, memory) != NULL) sketch_merge(self->extra, other->extra, memory);
    if (kind == SET && distinct_of(self, memory) != NULL) distinct_merge(self->extra, other->extra, memory);
}

static void merge_all_but_last(cell *self, const cell *other) {
    self->samples += other->samples;
    self->count = saturate(self->count + other->count);
    self->sum = saturate(self->sum + other->sum);
    self->low = other->low < self->low ? other->low : self->low;
    self->high = other->high > self->high ? other->high : self->high;
}

void cell_merge(cell *self, const cell *other, enum kind kind, budget *memory) {
    merge_all_but_last(self, other);
    if (other->last_at > self->last_at || (other->last_at == self->last_at && other->last > self->last)) {
        self->last = other->last;
        self->last_at = other->last_at;
        if (kind == COUNTER || kind == GAUGE) self->received = other->received;
    }
    merge_extra(self, other, kind, memory);
}

void cell_adopt_last(cell *self, const cell *other) {
    self->last = other->last;
    self->last_at = other->last_at;
    self->received = other->received;
}

void cell_merge_gauge(cell *self, const cell *other) {
    bool is_newer = other->received > self->received || (other->received == self->received && other->last > self->last);
    if (self->samples == 0 || is_newer) cell_adopt_last(self, other);
    merge_all_but_last(self, other);
}

void cell_shift(cell *self, double base) {
    self->sum = saturate(self->sum + self->count * base);
    self->low = saturate(self->low + base);
    self->high = saturate(self->high + base);
    self->last = saturate(self->last + base);
}
