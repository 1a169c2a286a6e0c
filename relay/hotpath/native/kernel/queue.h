/* Identities that wait for naming, in the order they came.
 *
 * Theory. An array with a first place: naming reads from the front, and an answer removes its identity wherever it is.
 * A removed identity leaves NULL, so the others keep their places; NULLs at the front are skipped.
 *
 * The queue counts what naming its identities costs (`work`). The bounds are those of the hot path (identity.c). */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include "identity.h"

typedef struct queue {
    identity **items;
    size_t first, used, capacity;
    size_t length, work; /* identities, and the cost of naming them */
} queue;

/* Appends an identity; false without memory. */
bool queue_push(queue *queue, identity *identity, budget *memory);

/* Copies up to `most` identities from the front, which stay in the queue; returns how many. */
size_t queue_peek(queue *queue, identity **found, size_t most);

/* Removes an identity, if it is in the queue. */
void queue_remove(queue *queue, const identity *identity);

/* Removes the identity at an index of `items`. */
void queue_remove_at(queue *queue, size_t index);

void queue_free(queue *queue, budget *memory);

#endif
