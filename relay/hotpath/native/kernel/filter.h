/* What people may see of single lines, and who may send them: the ring of rejected lines, the tap, the allow-list.
 *
 * Theory. None of it runs for an ordinary line: a ring of 64 entries takes the beginning of each rejected line; the tap
 * keeps the newest 1,000 lines (1 MiB at most) whose name matches a glob, and costs a match a line while it is on; the
 * allow-list compares a sender with a few networks, once a datagram. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d, so
 * that a socket for both families needs no second rule. */
#ifndef RELAY_FILTER_H
#define RELAY_FILTER_H

#include "base.h"

#include <sys/socket.h>

#define TAPPED_LINES 1000
#define TAPPED_BYTES (1u << 20)
#define NETWORKS_MOST 256

typedef struct peer {
    uint8_t address[16];
    uint16_t port;
    bool known;
} peer;

typedef struct rejected {
    double time;
    peer peer;
    int reason;
    uint8_t size;
    uint8_t line[REJECT_BYTES];
} rejected;

typedef struct rejects {
    uint64_t counts[REASONS_MAX];
    rejected ring[REJECTS_KEPT];
    uint64_t seen;
} rejects;

void rejects_add(rejects *rejects, span line, int reason, const peer *peer, double now);

typedef struct tap {
    char *pattern; /* NULL: off */
    span lines[TAPPED_LINES];
    size_t first, used, bytes;
} tap;

/* Sets a glob of fnmatch, ended by NUL, or NULL to end the tap. Returns false without memory. */
bool tap_set(tap *tap, const char *pattern);
void tap_offer(tap *tap, span line);

/* Takes out the oldest line kept; the caller frees it. An empty span: there is none. */
span tap_pop(tap *tap);

typedef struct allow_list {
    struct network {
        uint8_t address[16];
        unsigned bits;
    } networks[NETWORKS_MOST];
    size_t count;
} allow_list;

/* Says whether a sender lies in one of the networks. One that is not known came by a Unix socket: the mode of its file
 * has decided. */
bool allow_list_admits(const allow_list *allow_list, const peer *peer);

/* Reads an address of recvmsg, of `size` bytes; one of a Unix socket is nobody known. */
peer peer_of(const struct sockaddr_storage *address, socklen_t size);

#endif
