#include "filter.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <netinet/in.h>

void rejected_set(rejected *rejected, span line, int reason, const peer *peer, double now) {
    rejected->time = now;
    rejected->reason = reason;
    rejected->peer = *peer;
    rejected->size = (uint8_t)(line.size < REJECT_BYTES ? line.size : REJECT_BYTES);
    span_copy(rejected->line, (span){line.at, rejected->size});
}

void rejects_add(rejects *rejects, span line, int reason, const peer *peer, double now) {
    rejects->counts[reason]++;
    rejected_set(&rejects->ring[rejects->seen++ % REJECTS_KEPT], line, reason, peer, now);
}

/* --- the tap ------------------------------------------------------------------------------------------------------ */

bool tap_set(tap *tap, const char *pattern) {
    for (span line = tap_pop(tap); line.at != NULL; line = tap_pop(tap)) free((void *)(uintptr_t)line.at);
    free(tap->pattern);
    tap->pattern = pattern ? strdup(pattern) : NULL;
    return !pattern || tap->pattern;
}

span tap_pop(tap *tap) {
    if (tap->used == 0) return (span){NULL, 0};
    span line = tap->lines[tap->first];
    tap->first = (tap->first + 1) % TAPPED_LINES;
    tap->used--;
    tap->bytes -= line.size;
    return line;
}

static bool name_matches(const char *pattern, span line) {
    char name[256];
    const uint8_t *colon = memchr(line.at, ':', line.size);
    size_t size = colon ? (size_t)(colon - line.at) : line.size;
    if (size >= sizeof name || memchr(line.at, '\0', size)) return false;
    memcpy(name, line.at, size);
    name[size] = '\0';
    return fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

void tap_offer(tap *tap, span line) {
    if (line.size == 0 || !name_matches(tap->pattern, line)) return;
    uint8_t *copy = malloc(line.size);
    if (copy == NULL) return;
    memcpy(copy, line.at, line.size);
    while (tap->used == TAPPED_LINES || (tap->used > 0 && tap->bytes + line.size > TAPPED_BYTES))
        free((void *)(uintptr_t)tap_pop(tap).at);
    tap->lines[(tap->first + tap->used++) % TAPPED_LINES] = (span){copy, line.size};
    tap->bytes += line.size;
}

/* --- the allow-list ----------------------------------------------------------------------------------------------- */

static bool is_inside(const struct network *network, const uint8_t *address) {
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (memcmp(network->address, address, whole) != 0) return false;
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

bool allow_list_admits(const allow_list *allow_list, const peer *peer) {
    if (!peer->known) return true;
    for (size_t i = 0; i < allow_list->count; i++)
        if (is_inside(&allow_list->networks[i], peer->address)) return true;
    return false;
}

peer peer_of(const struct sockaddr_storage *address, socklen_t size, uint16_t listener) {
    peer peer = {.listener = listener, .known = true};
    if (size == 0) {
        return peer_unknown(listener); /* the kernel wrote no address: the buffer has the one of an earlier packet */
    } else if (address->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        peer.address[10] = peer.address[11] = 0xff;
        memcpy(peer.address + 12, &four->sin_addr, 4);
        peer.port = ntohs(four->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)address;
        memcpy(peer.address, &six->sin6_addr, 16);
        peer.port = ntohs(six->sin6_port);
    } else {
        return peer_unknown(listener);
    }
    return peer;
}
