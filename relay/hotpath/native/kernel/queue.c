#include "queue.h"

bool queue_push(queue *queue, identity *identity, budget *memory) {
    void *items = queue->items;
    bool room = vector_grow(&items, &queue->capacity, queue->used, sizeof identity, memory);
    queue->items = items;
    if (!room) return false;
    queue->items[queue->used++] = identity;
    queue->length++;
    queue->work += naming_work(name_of_identity(identity), tags_of_identity(identity));
    return true;
}

void queue_remove_at(queue *queue, size_t index) {
    const identity *identity = queue->items[index];
    queue->items[index] = NULL;
    queue->length--;
    queue->work -= naming_work(name_of_identity(identity), tags_of_identity(identity));
}

static void skip_removed(queue *queue) {
    while (queue->first < queue->used && queue->items[queue->first] == NULL) queue->first++;
}

/* Answers come in the order of the queue, so the identity is near the front. */
void queue_remove(queue *queue, const identity *identity) {
    for (size_t i = queue->first; i < queue->used; i++) {
        if (queue->items[i] != identity) continue;
        queue_remove_at(queue, i);
        break;
    }
    skip_removed(queue);
    if (queue->first == queue->used) queue->first = queue->used = 0;
}

size_t queue_peek(queue *queue, identity **found, size_t most) {
    skip_removed(queue);
    size_t count = 0;
    for (size_t i = queue->first; i < queue->used && count < most; i++)
        if (queue->items[i] != NULL) found[count++] = queue->items[i];
    return count;
}

void queue_free(queue *queue, budget *memory) {
    free(queue->items);
    memory->used -= queue->capacity * sizeof *queue->items;
    *queue = (struct queue){0};
}
