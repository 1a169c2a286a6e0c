/* The queue of pending identities, oldest first.
 *
 * Theory. An array and the index of its first item. Naming reads from the front; an answer removes its identity at
 * any place. A removed identity leaves NULL, so the others keep their places; NULLs at the front are skipped.
 *
 * The queue counts its identities and the work of naming them; identity.c enforces the bounds. */
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include "identity.h"

typedef struct queue {
    identity **items;
    size_t first, used, capacity;
    size_t length, work; /* number of identities, and work of naming them */
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
