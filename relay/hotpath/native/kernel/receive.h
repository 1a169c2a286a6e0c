/* Receives datagrams in batches with recvmmsg, and has the loop of a reader thread.
 *
 * Theory. recvmmsg fills up to 64 buffers in one call. Each buffer is one byte larger than the largest datagram,
 * which reveals truncation. Buffers lie 65,664 bytes apart, which is not a multiple of 4,096: otherwise their
 * beginnings would share a few cache sets.
 *
 * At ordinary load the main cost is waking up, 7 to 20 us for each packet. So a reader that wakes sleeps again, at
 * most `delay`, until a quarter of the socket's receive buffer has probably filled (at most 512 packets). Then it
 * drains the queue. The time follows from the recent rate; at very low rates the reader does not sleep. With a
 * receive buffer below 1 MiB it never sleeps: 10 ms on the default buffer lost 48 % at 50,000 packets/s.
 *
 * The lock is held while lines are folded, for at most 128 KiB of datagrams, and never while waiting. A batch gets
 * one receive time: this file is the reader, not the hot path, and may read the clock (I7). */
#ifndef RELAY_RECEIVE_H
#define RELAY_RECEIVE_H

#include "hotpath.h"

#include <stdatomic.h>

#define RECEIVE_MOST 64

typedef struct receiver receiver;

/* Returns the buffers of one thread; NULL without memory. */
receiver *receiver_new(hotpath *hotpath);
void receiver_free(receiver *receiver);

/* Processes up to `most` (at most RECEIVE_MOST) datagrams of a socket's queue; returns how many. */
size_t receive(receiver *receiver, int fd, uint16_t listener, size_t most, double now);

/* Settings and counters of a reader thread. */
typedef struct reader {
    int fd, stop_fd; /* stop_fd readable: stop */
    uint16_t listener;
    double delay;    /* longest sleep after waking, in seconds; 0: none */
    _Atomic uint64_t datagrams, wakes;
} reader;

/* Reads until `stop_fd` is readable, then drains the queue. */
void reader_run(reader *reader, receiver *receiver);

#endif
