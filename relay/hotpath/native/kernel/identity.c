/* Identities of lines: what is known of them, how they wait for a name, and what stands in where there is no room to wait. */
#include "hotpath.h"

#define EVICTION_PROBES 64
#define EVICTED_AT_ONCE 64 /* at an answer, which adds one: a lower limit is reached soon, and nobody waits for it */
#define SLOT_BYTES 32 /* of an item in the map, on the average */

/* --- the map of identities ---------------------------------------------------------------------------------------- */

identity *find_identity(const hotpath *self, uint64_t hash, enum kind kind, span name, span tags) {
    for (slot *slot = map_first(&self->identities, hash); slot; slot = map_next(&self->identities, slot))
        if (LIKELY(identity_is(slot->item, kind, name, tags))) return slot->item;
    return NULL;
}

/* Makes an identity, waiting, without a provisional; NULL without memory. */
identity *make_identity(hotpath *self, uint64_t hash, enum kind kind, span name, span tags, budget *memory) {
    if (!map_reserve(&self->identities, &self->slots_memory)) return NULL;
    identity *made = take(memory, sizeof *made + name.size + tags.size);
    if (made == NULL) return NULL;
    made->kind = (uint8_t)kind;
    made->state = WAITING;
    made->stamp = self->stamp;
    made->name_size = (uint16_t)name.size;
    made->tags_size = (uint16_t)tags.size;
    span_copy(made->text, name);
    span_copy(made->text + name.size, tags);
    map_insert(&self->identities, hash, made);
    return made;
}

/* Says whether one more may wait; stand-ins have a tenth of the queue to themselves. */
static bool has_room(const hotpath *self, bool stands_in) {
    size_t most = self->settings.series_limit, work = NAMING_WORK, used = self->waiting_memory.used;
    if (stands_in) {
        most += most / 10;
        work += work / 10;
        used -= used / 10;
    }
    return self->queue.waiting < most && self->queue.work < work && used < self->waiting_memory.limit;
}

void remove_identity(hotpath *self, slot *slot, budget *memory) {
    identity *identity = slot->item;
    map_remove(&self->identities, slot);
    give(memory, identity, identity_bytes(identity));
}

provisional *provisional_new(hotpath *self) {
    provisional *made = (provisional *)cell_new(&self->registry.cells, &self->registry.memory);
    if (made == NULL) return NULL;
    *made = (provisional){.window = self->open.number, .cell = cell_new(&self->registry.cells, &self->registry.memory)};
    if (made->cell != NULL) return made;
    cell_free(&self->registry.cells, (cell *)made, COUNTER, &self->registry.memory);
    return NULL;
}

void provisional_free(hotpath *self, provisional *provisional, enum kind kind) {
    if (provisional->overflow != NULL) provisional_free(self, provisional->overflow, kind);
    cell_free(&self->registry.cells, provisional->cell, kind, &self->registry.memory);
    cell_free(&self->registry.cells, provisional->relative, GAUGE, &self->registry.memory);
    cell_free(&self->registry.cells, (cell *)provisional, COUNTER, &self->registry.memory);
}

void free_provisionals(hotpath *self, identity *identity) {
    for (provisional *older, *waiting = identity->to.waiting; waiting != NULL; waiting = older) {
        older = waiting->older;
        provisional_free(self, waiting, (enum kind)identity->kind);
    }
}

/* Gives an identity a provisional of the open window, and a place in the queue; false without memory. */
static bool begin_waiting(hotpath *self, identity *identity) {
    provisional *made = provisional_new(self);
    if (made == NULL) return false;
    if (!queue_push(&self->queue, identity, &self->waiting_memory)) {
        provisional_free(self, made, (enum kind)identity->kind);
        return false;
    }
    made->older = identity->to.waiting;
    identity->to.waiting = made;
    return true;
}

/* Takes back an answer that was given under other rules; where there is no room to wait for another, it stands. The
 * identity stays where it is: lines that are being taken point to it. */
static void ask_again(hotpath *self, identity *identity) {
    struct identity before = *identity;
    identity->to.waiting = NULL;
    if (!begin_waiting(self, identity)) {
        identity->to = before.to;
        return;
    }
    if (before.state == RESOLVED) {
        release_stand_in(self, identity);
        series_release(&self->registry, before.to.series);
    }
    identity->state = WAITING;
    identity->cell = NULL;
    count_alias(self, identity, -1);
    self->aliases_memory.used -= identity_bytes(identity);
    self->waiting_memory.used += identity_bytes(identity);
}

/* Lets an identity wait that is new, or that waits in the closing window alone; NULL without memory. */
static identity *let_wait(hotpath *self, uint64_t hash, enum kind kind, span name, span tags, identity *known) {
    identity *made = known ? known : make_identity(self, hash, kind, name, tags, &self->waiting_memory);
    if (made == NULL || begin_waiting(self, made)) return made;
    if (known == NULL) {
        slot *slot = map_first(&self->identities, hash);
        while (slot->item != made) slot = map_next(&self->identities, slot);
        remove_identity(self, slot, &self->waiting_memory);
    }
    return NULL;
}

/* --- stand-ins ---------------------------------------------------------------------------------------------------- */

/* Returns a name without its inline tags: up to the first separator that is read, if a pair follows. */
static span bare_name(const hotpath *self, span name) {
    const bool *separates = self->settings.separators;
    size_t first = 0, size = name.size < NAME_READ ? name.size : NAME_READ;
    while (first < size && !separates[name.at[first]]) first++;
    size_t at = first + (first < size);
    while (at < size && name.at[at] != '=' && !separates[name.at[at]]) at++;
    return at < size && name.at[at] == '=' ? (span){name.at, first} : name;
}

/* Makes a stand-in of which the series is known; NULL without memory. */
static identity *make_stand_in(hotpath *self, uint64_t hash, enum kind kind, span name, series *overflow) {
    identity *made = make_identity(self, hash, kind, name, STAND_IN, &self->aliases_memory);
    if (made == NULL) return NULL;
    made->state = RESOLVED;
    made->to.series = overflow;
    overflow->refs += 2;
    series_set_overflow(&self->registry, overflow, overflow);
    count_alias(self, made, 1);
    return made;
}

/* Finds the stand-in of a name, or makes it of what is known of the name; else it waits, or there is no room: NULL. */
static identity *stand_in(hotpath *self, enum kind kind, span whole) {
    span name = bare_name(self, whole), none = {name.at, 0};
    uint64_t hash = identity_hash(&self->registry.key, kind, name, STAND_IN);
    identity *known = find_identity(self, hash, kind, name, STAND_IN);
    if (known != NULL && (known->state != WAITING || known->to.waiting->window == self->open.number)) return known;
    uint64_t bare_hash = identity_hash(&self->registry.key, kind, name, none);
    const identity *bare = known == NULL ? find_identity(self, bare_hash, kind, name, none) : NULL;
    if (bare != NULL && bare->state == RESOLVED && bare->to.series->overflow != NULL)
        return make_stand_in(self, hash, kind, name, bare->to.series->overflow);
    return name.size > 0 && has_room(self, true) ? let_wait(self, hash, kind, name, STAND_IN, known) : NULL;
}

/* An alias without tags is what a stand-in is made of when it is needed. */
static bool has_tags(const identity *alias, span bare) {
    return (alias->tags_size > 0 && !is_stand_in(alias)) || bare.size < alias->name_size;
}

void hold_stand_in(hotpath *self, const identity *alias) {
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

static void forget_alias(hotpath *self, slot *slot) {
    identity *identity = slot->item;
    if (identity->state == RESOLVED) {
        release_stand_in(self, identity);
        series_release(&self->registry, identity->to.series);
    }
    count_alias(self, identity, -1);
    remove_identity(self, slot, &self->aliases_memory);
}

/* Drops one alias that the open window has not used, or any if there is none nearby. */
static void evict_alias(hotpath *self) {
    for (size_t probes = 0;; probes++) {
        slot *slot = &self->identities.slots[self->hand++ & (self->identities.capacity - 1)];
        identity *identity = slot->item;
        if (slot->hash == 0 || identity->state == WAITING) continue;
        if (identity->stamp == self->stamp && probes < EVICTION_PROBES) continue;
        if (identity->refs > 0 && probes < self->identities.capacity) continue;
        forget_alias(self, slot);
        return;
    }
}

void sweep_aliases(hotpath *self, size_t count) {
    for (; count > 0 && self->sweep_left > 0; count--) {
        if (self->sweep_left > self->identities.capacity) self->sweep_left = self->identities.capacity;
        slot *slot = &self->identities.slots[self->sweep_left - 1];
        identity *identity = slot->item;
        bool is_idle = slot->hash != 0 && identity->state != WAITING && identity->stamp < self->stamp_before;
        if (is_idle && identity->refs == 0)
            forget_alias(self, slot); /* another entry may have moved here: look again */
        else
            self->sweep_left--;
    }
}

/* Each counts for its share of the map, and not for slots that others left: these are given back at the edge. */
static bool aliases_exceed(const hotpath *self) {
    size_t used = self->aliases_memory.used + SLOT_BYTES * self->aliases;
    return self->aliases > self->settings.alias_limit || (used > self->aliases_memory.limit && self->aliases > 0);
}

void evict_aliases(hotpath *self) {
    for (size_t most = EVICTED_AT_ONCE; most > 0 && aliases_exceed(self); most--) evict_alias(self);
}

/* --- new identities ----------------------------------------------------------------------------------------------- */

identity *meet_identity(hotpath *self, enum kind kind, span name, span tags) {
    uint64_t hash = identity_hash(&self->registry.key, kind, name, tags);
    identity *known = find_identity(self, hash, kind, name, tags);
    if (known != NULL && known->state == WAITING && known->to.waiting->window == self->open.number) return known;
    if (known != NULL && known->state != WAITING) {
        if (known->stamp < self->stamp_named && has_room(self, false)) ask_again(self, known);
        return known;
    }
    if (!has_room(self, false)) return stand_in(self, kind, name);
    return let_wait(self, hash, kind, name, tags, known);
}

static bool is_peer(const newcomer *newcomer, const peer *peer) {
    return newcomer->peer.known == peer->known && memcmp(newcomer->peer.address, peer->address, 16) == 0;
}

/* Returns the place of a sender: its own, or of who brought least, whose figures it takes over (space-saving). */
static newcomer *newcomer_of(hotpath *self, const peer *peer) {
    newcomer *least = self->newcomers;
    for (size_t i = 0; i < NEWCOMERS_KEPT; i++) {
        newcomer *one = &self->newcomers[i];
        if (one->identities > 0 && is_peer(one, peer)) return one;
        if (one->work < least->work) least = one;
    }
    return least;
}

void add_newcomer(hotpath *self, const peer *sender, span name, span tags) {
    peer unknown = {.known = false};
    const peer *peer = sender ? sender : &unknown;
    newcomer *one = newcomer_of(self, peer);
    one->peer = *peer;
    one->identities++;
    one->work += naming_work(name, tags);
    one->name_size = (uint8_t)(name.size < NEWCOMER_BYTES ? name.size : NEWCOMER_BYTES);
    one->tags_size = (uint8_t)(tags.size < NEWCOMER_BYTES ? tags.size : NEWCOMER_BYTES);
    span_copy(one->text, (span){name.at, one->name_size});
    span_copy(one->text + one->name_size, (span){tags.at, one->tags_size});
}
