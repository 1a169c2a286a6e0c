/* The map of identities: known ones, pending ones in the queue for naming, stand-ins, and the senders of new ones.
 *
 * If the queue is full, the samples of a new identity go to the stand-in of its name: an identity with a reserved
 * tag section, whose series is the overflow series of the name. */
#include "hotpath.h"

#define EVICTION_PROBES 64
#define EVICTED_AT_ONCE 64 /* for each answer, which adds one alias: a lowered limit is reached soon, without a pause */
#define SLOT_BYTES 32 /* of an item in the map, on average */

/* --- the map of identities ---------------------------------------------------------------------------------------- */

identity *find_identity(const hotpath *self, uint64_t hash, enum kind kind, span name, span tags) {
    for (slot *slot = map_first(&self->identities, hash); slot; slot = map_next(&self->identities, slot))
        if (LIKELY(identity_is(slot->item, kind, name, tags))) return slot->item;
    return NULL;
}

identity *identity_new(hotpath *self, uint64_t hash, enum kind kind, span name, span tags, budget *memory) {
    if (!map_reserve(&self->identities, &self->slots_memory)) return NULL;
    identity *made = budget_alloc(memory, sizeof *made + name.size + tags.size);
    if (made == NULL) return NULL;
    made->kind = (uint8_t)kind;
    made->state = PENDING;
    made->generation = self->generation;
    made->name_size = (uint16_t)name.size;
    made->tags_size = (uint16_t)tags.size;
    span_copy(made->text, name);
    span_copy(made->text + name.size, tags);
    map_insert(&self->identities, hash, made);
    return made;
}

/* Says whether one more identity fits into the queue; another tenth of each bound is reserved for stand-ins. */
static bool has_room(const hotpath *self, bool stands_in) {
    size_t most = self->settings.series_limit, work = NAMING_WORK, used = self->pending_memory.used;
    if (stands_in) {
        most += most / 10;
        work += work / 10;
        used -= used / 10;
    }
    return self->queue.length < most && self->queue.work < work && used < self->pending_memory.limit;
}

void identity_remove(hotpath *self, slot *slot, budget *memory) {
    identity *identity = slot->item;
    map_remove(&self->identities, slot);
    budget_free(memory, identity, identity_bytes(identity));
}

pending_samples *pending_new(hotpath *self) {
    pending_samples *made = (pending_samples *)cell_new(&self->registry.cells, &self->registry.memory);
    if (made == NULL) return NULL;
    *made = (pending_samples){.window = self->open.number, .cell = cell_new(&self->registry.cells, &self->registry.memory)};
    if (made->cell != NULL) return made;
    cell_free(&self->registry.cells, (cell *)made, COUNTER, &self->registry.memory);
    return NULL;
}

void pending_free(hotpath *self, pending_samples *pending, enum kind kind) {
    if (pending->overflow != NULL) pending_free(self, pending->overflow, kind);
    cell_free(&self->registry.cells, pending->cell, kind, &self->registry.memory);
    cell_free(&self->registry.cells, pending->relative, GAUGE, &self->registry.memory);
    cell_free(&self->registry.cells, (cell *)pending, COUNTER, &self->registry.memory);
}

void pending_free_all(hotpath *self, identity *identity) {
    for (pending_samples *older, *pending = identity->to.pending; pending != NULL; pending = older) {
        older = pending->older;
        pending_free(self, pending, (enum kind)identity->kind);
    }
}

/* Gives an identity pending samples in the open window, and a place in the queue; false without memory. */
static bool queue_pending(hotpath *self, identity *identity) {
    pending_samples *made = pending_new(self);
    if (made == NULL) return false;
    if (!queue_push(&self->queue, identity, &self->pending_memory)) {
        pending_free(self, made, (enum kind)identity->kind);
        return false;
    }
    made->older = identity->to.pending;
    identity->to.pending = made;
    return true;
}

/* Queues an identity again whose answer follows earlier rules; without memory the answer stays. The identity does not
 * move: the lines of the current group point to it. */
static void requeue_identity(hotpath *self, identity *identity) {
    struct identity before = *identity;
    identity->to.pending = NULL;
    if (!queue_pending(self, identity)) {
        identity->to = before.to;
        return;
    }
    if (before.state == RESOLVED) {
        release_stand_in(self, identity);
        series_release(&self->registry, before.to.series);
    }
    identity->state = PENDING;
    identity->cell = NULL;
    count_alias(self, identity, -1);
    self->aliases_memory.used -= identity_bytes(identity);
    self->pending_memory.used += identity_bytes(identity);
}

/* Queues an identity that is new, or pending in the closing window only; NULL without memory. */
static identity *queue_identity(hotpath *self, uint64_t hash, enum kind kind, span name, span tags, identity *known) {
    identity *made = known ? known : identity_new(self, hash, kind, name, tags, &self->pending_memory);
    if (made == NULL || queue_pending(self, made)) return made;
    if (known == NULL) identity_remove(self, map_slot(&self->identities, hash, made), &self->pending_memory);
    return NULL;
}

/* --- stand-ins ---------------------------------------------------------------------------------------------------- */

/* Returns a name without its inline tags: it ends at the first separator that a `key=value` pair follows. */
static span bare_name(const hotpath *self, span name) {
    const bool *separates = self->settings.separators;
    size_t first = 0, size = name.size < NAME_READ ? name.size : NAME_READ;
    while (first < size && !separates[name.at[first]]) first++;
    size_t at = first + (first < size);
    while (at < size && name.at[at] != '=' && !separates[name.at[at]]) at++;
    return at < size && name.at[at] == '=' ? (span){name.at, first} : name;
}

/* Adds a resolved stand-in; NULL without memory. */
static identity *make_stand_in(hotpath *self, uint64_t hash, enum kind kind, span name, series *overflow) {
    identity *made = identity_new(self, hash, kind, name, STAND_IN, &self->aliases_memory);
    if (made == NULL) return NULL;
    made->state = RESOLVED;
    made->to.series = overflow;
    overflow->refs += 2;
    series_set_overflow(&self->registry, overflow, overflow);
    count_alias(self, made, 1);
    return made;
}

/* Returns the stand-in of a name. A new one is resolved if the bare name is, else it is queued; NULL without room. */
static identity *stand_in(hotpath *self, enum kind kind, span whole) {
    span name = bare_name(self, whole), none = {name.at, 0};
    uint64_t hash = identity_hash(&self->registry.key, kind, name, STAND_IN);
    identity *known = find_identity(self, hash, kind, name, STAND_IN);
    if (known != NULL && (known->state != PENDING || known->to.pending->window == self->open.number)) return known;
    uint64_t bare_hash = identity_hash(&self->registry.key, kind, name, none);
    const identity *bare = known == NULL ? find_identity(self, bare_hash, kind, name, none) : NULL;
    if (bare != NULL && bare->state == RESOLVED && bare->to.series->overflow != NULL)
        return make_stand_in(self, hash, kind, name, bare->to.series->overflow);
    return name.size > 0 && has_room(self, true) ? queue_identity(self, hash, kind, name, STAND_IN, known) : NULL;
}

/* Says whether an alias keeps a stand-in: one with tags does; from one without tags a stand-in is made when needed.
 * */
static bool has_tags(const identity *alias, span bare) {
    return (alias->tags_size > 0 && !is_stand_in(alias)) || bare.size < alias->name_size;
}

void retain_stand_in(hotpath *self, const identity *alias) {
    span name = bare_name(self, name_of_identity(alias));
    series *overflow = alias->to.series->overflow;
    if (!has_tags(alias, name) || overflow == NULL) return;
    enum kind kind = (enum kind)alias->kind;
    uint64_t hash = identity_hash(&self->registry.key, kind, name, STAND_IN);
    identity *found = find_identity(self, hash, kind, name, STAND_IN);
    if (found == NULL) found = make_stand_in(self, hash, kind, name, overflow);
    if (found != NULL) found->refs++;
}

void release_stand_in(hotpath *self, const identity *alias) {
    span name = bare_name(self, name_of_identity(alias));
    if (!has_tags(alias, name)) return;
    uint64_t hash = identity_hash(&self->registry.key, (enum kind)alias->kind, name, STAND_IN);
    identity *found = find_identity(self, hash, (enum kind)alias->kind, name, STAND_IN);
    if (found != NULL && found->refs > 0) found->refs--;
}

/* --- aliases are a bounded cache ---------------------------------------------------------------------------------- */

static void remove_alias(hotpath *self, slot *slot) {
    identity *identity = slot->item;
    if (identity->state == RESOLVED) {
        release_stand_in(self, identity);
        series_release(&self->registry, identity->to.series);
    }
    count_alias(self, identity, -1);
    identity_remove(self, slot, &self->aliases_memory);
}

/* Removes an alias that the open window has not used; after EVICTION_PROBES probes, any alias. */
static void evict_alias(hotpath *self) {
    for (size_t probes = 0;; probes++) {
        slot *slot = &self->identities.slots[self->clock_hand++ & (self->identities.capacity - 1)];
        identity *identity = slot->item;
        if (slot->hash == 0 || identity->state == PENDING) continue;
        if (identity->generation == self->generation && probes < EVICTION_PROBES) continue;
        if (identity->refs > 0 && probes < self->identities.capacity) continue;
        remove_alias(self, slot);
        return;
    }
}

void sweep_aliases(hotpath *self, size_t count) {
    for (; count > 0 && self->sweep_left > 0; count--) {
        if (self->sweep_left > self->identities.capacity) self->sweep_left = self->identities.capacity;
        slot *slot = &self->identities.slots[self->sweep_left - 1];
        identity *identity = slot->item;
        bool is_idle = slot->hash != 0 && identity->state != PENDING && identity->generation < self->generation_before;
        if (is_idle && identity->refs == 0)
            remove_alias(self, slot); /* another item may have moved here: check the slot again */
        else
            self->sweep_left--;
    }
}

/* An alias counts for its share of the map. Free slots do not count: the map shrinks at the edge. */
static bool aliases_exceed(const hotpath *self) {
    size_t used = self->aliases_memory.used + SLOT_BYTES * self->aliases;
    return self->aliases > self->settings.alias_limit || (used > self->aliases_memory.limit && self->aliases > 0);
}

void evict_aliases(hotpath *self) {
    for (size_t most = EVICTED_AT_ONCE; most > 0 && aliases_exceed(self); most--) evict_alias(self);
}

/* --- new identities ----------------------------------------------------------------------------------------------- */

identity *find_or_queue_identity(hotpath *self, enum kind kind, span name, span tags) {
    uint64_t hash = identity_hash(&self->registry.key, kind, name, tags);
    identity *known = find_identity(self, hash, kind, name, tags);
    if (known != NULL && known->state == PENDING && known->to.pending->window == self->open.number) return known;
    if (known != NULL && known->state != PENDING) {
        if (known->generation < self->generation_renamed && has_room(self, false)) requeue_identity(self, known);
        return known;
    }
    if (!has_room(self, false)) return stand_in(self, kind, name);
    return queue_identity(self, hash, kind, name, tags, known);
}

static bool is_peer(const top_sender *top_sender, const peer *peer) {
    if (!peer->known) return !top_sender->peer.known;
    return top_sender->peer.known && memcmp(top_sender->peer.address, peer->address, 16) == 0;
}

/* Returns the place of a sender: its own, or that of the sender with the least work, whose counts it inherits (the
 * space-saving algorithm). */
static top_sender *sender_place(hotpath *self, const peer *peer) {
    top_sender *least = self->top_senders;
    for (size_t i = 0; i < TOP_SENDERS; i++) {
        top_sender *one = &self->top_senders[i];
        if (one->identities > 0 && is_peer(one, peer)) return one;
        if (one->work < least->work) least = one;
    }
    return least;
}

void count_sender(hotpath *self, const peer *peer, span name, span tags) {
    top_sender *one = sender_place(self, peer);
    one->peer = *peer;
    one->identities++;
    one->work += naming_work(name, tags);
    one->name_size = (uint8_t)(name.size < SENDER_EXAMPLE_BYTES ? name.size : SENDER_EXAMPLE_BYTES);
    one->tags_size = (uint8_t)(tags.size < SENDER_EXAMPLE_BYTES ? tags.size : SENDER_EXAMPLE_BYTES);
    span_copy(one->text, (span){name.at, one->name_size});
    span_copy(one->text + one->name_size, (span){tags.at, one->tags_size});
}
