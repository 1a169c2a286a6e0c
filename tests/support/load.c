/* Sends datagrams from a file to a UDP port of loopback, over and over, for SECONDS.
 *
 *     load PORT FILE SECONDS RATE BATCH QUEUE
 *
 * FILE holds datagrams, each behind its size (2 bytes, little endian). RATE is datagrams a second, in steps of a
 * millisecond (open loop). 0 means as fast as the receiver reads: before each batch the receiver's queue in
 * /proc/net/udp must be below QUEUE bytes, so that nothing is lost (closed loop). -1 means as fast as possible. Prints
 * the datagrams sent and the seconds it took. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MOST 64

typedef struct traffic {
    struct iovec *datagrams;
    size_t count, next;
} traffic;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static traffic read_traffic(const char *path) {
    traffic traffic = {NULL, 0, 0};
    FILE *file = fopen(path, "rb");
    if (file == NULL) exit(1);
    uint8_t size[2];
    while (fread(size, 1, 2, file) == 2) {
        size_t length = size[0] | (size_t)size[1] << 8;
        if (traffic.count % 1024 == 0)
            traffic.datagrams = realloc(traffic.datagrams, (traffic.count + 1024) * sizeof *traffic.datagrams);
        void *bytes = malloc(length + 1);
        if (traffic.datagrams == NULL || bytes == NULL || fread(bytes, 1, length, file) != length) exit(1);
        traffic.datagrams[traffic.count++] = (struct iovec){bytes, length};
    }
    fclose(file);
    return traffic;
}

/* Returns the bytes that wait in the queue of the socket bound to `port`. */
static unsigned long queued(int table, unsigned port) {
    static char text[1 << 16];
    char wanted[32]; /* the local port of a socket that is not connected: our own is, to that port */
    ssize_t size = pread(table, text, sizeof text - 1, 0);
    if (size <= 0) return 0;
    text[size] = '\0';
    snprintf(wanted, sizeof wanted, ":%04X 00000000:0000 ", port);
    char *row = strstr(text, wanted);
    unsigned long waiting = 0;
    if (row != NULL) sscanf(row, "%*s %*s %*x %*x:%lx", &waiting);
    return waiting;
}

static size_t send_batch(int fd, traffic *traffic, size_t batch) {
    struct mmsghdr headers[BATCH_MOST] = {0};
    for (size_t i = 0; i < batch; i++) {
        headers[i].msg_hdr.msg_iov = &traffic->datagrams[(traffic->next + i) % traffic->count];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(fd, headers, (unsigned)batch, 0);
    if (sent <= 0) return 0;
    traffic->next = (traffic->next + (size_t)sent) % traffic->count;
    return (size_t)sent;
}

static void pause_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

int main(int count, char **arguments) {
    if (count < 7) return 2;
    unsigned port = (unsigned)atoi(arguments[1]);
    traffic traffic = read_traffic(arguments[2]);
    double seconds = atof(arguments[3]), rate = atof(arguments[4]);
    size_t batch = (size_t)atoi(arguments[5]), sent = 0;
    unsigned long most = strtoul(arguments[6], NULL, 10);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), table = open("/proc/net/udp", O_RDONLY);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 || traffic.count == 0 || batch > BATCH_MOST) return 1;
    double began = now(), time = began;
    for (; time < began + seconds; time = now()) {
        if (rate > 0) {
            for (double due = rate * (time - began); (double)sent < due;) sent += send_batch(fd, &traffic, due - (double)sent < (double)batch ? 1 : batch);
            pause_ms(1);
        } else {
            while (rate == 0 && queued(table, port) > most) {}
            sent += send_batch(fd, &traffic, batch);
        }
    }
    printf("%zu %.6f\n", sent, time - began);
    return 0;
}
