/* Stands between clients and a server that is far away: `relay PORT DELAY_MS`. Listens on a free port of the loopback interface, prints
 * that port, and passes each connection to PORT. Bytes, and the end of a connection, arrive half of DELAY_MS after they were sent.
 *
 * A handshake of TCP takes a round trip, but the kernel accepts a connection to this machine at once. So the relay reads nothing from a
 * new connection for DELAY_MS. To a client that speaks first, that is the same: its first bytes arrive 1.5 round trips after it began to
 * connect. Bandwidth, loss and slow start are not modelled; the messages of the benchmark fit in the first window.
 *
 * For each line of standard input, prints how many connections were opened and how many round trips the clients waited for: one for each
 * connection, and one each time the server answers bytes of a client. Ends with its standard input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT, SERVER, LONGEST = 64 * 1024, EVENTS = 256 };

typedef struct bridge bridge;

/* One end of a connection: the socket to the client, or the one to the server. */
typedef struct {
    bridge *bridge;
    int fd, side, ended;
} end;

struct bridge {
    end ends[2];
    int last_side; /* of which end bytes were read last */
    int references, broken;
};

/* Something that happens later: bytes that arrive at an end, the end of its connection (no bytes), or the start of a new connection. */
typedef struct event {
    struct event *next;
    int64_t due_ns;
    end *to;
    ssize_t length;
    char bytes[];
} event;

/* Events in the order of their times: each waits equally long. */
typedef struct {
    event *first, *last;
    int64_t delay_ns;
} queue;

static int epoll, timer;
static uint16_t target;
static queue opening, moving;
static unsigned long connections, round_trips;

static void die(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void watch(int fd, void *data) {
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = data};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted)) die("cannot watch a socket");
}

static void push(queue *into, end *to, const char *bytes, ssize_t length) {
    event *added = malloc(sizeof *added + (size_t)length);
    if (!added) die("cannot keep bytes");
    *added = (event){NULL, now_ns() + into->delay_ns, to, length};
    if (length) memcpy(added->bytes, bytes, (size_t)length);
    if (into->first) into->last->next = added;
    else into->first = added;
    into->last = added;
    to->bridge->references++;
}

/* Closes both ends once nothing refers to them. */
static void release(bridge *bridge) {
    if (--bridge->references > 0) return;
    for (int side = CLIENT; side <= SERVER; side++)
        if (bridge->ends[side].fd >= 0) close(bridge->ends[side].fd);
    free(bridge);
}

static int server_socket(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("cannot connect to the server");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void accept_client(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bridge *made = calloc(1, sizeof *made);
    if (!made) die("cannot keep a connection");
    made->ends[CLIENT] = (end){made, fd, CLIENT, 0};
    made->ends[SERVER] = (end){made, -1, SERVER, 0};
    made->last_side = SERVER;
    connections++;
    round_trips++;
    push(&opening, &made->ends[CLIENT], NULL, 0);
}

/* Begins to read from a connection that was opened a round trip ago. */
static void start(bridge *bridge) {
    bridge->ends[SERVER].fd = server_socket();
    for (int side = CLIENT; side <= SERVER; side++) {
        bridge->references++;
        watch(bridge->ends[side].fd, &bridge->ends[side]);
    }
}

static void receive(end *from) {
    static char bytes[LONGEST];
    bridge *bridge = from->bridge;
    ssize_t length = recv(from->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length > 0) {
        int answers = from->side == SERVER && bridge->last_side == CLIENT && !bridge->ends[CLIENT].ended;
        round_trips += answers ? 1 : 0;
        bridge->last_side = from->side;
    } else {
        if (length < 0) bridge->broken = 1;
        from->ended = 1;
        epoll_ctl(epoll, EPOLL_CTL_DEL, from->fd, NULL);
    }
    push(&moving, &bridge->ends[!from->side], bytes, length > 0 ? length : 0);
    if (length <= 0) release(bridge);
}

/* Lets bytes arrive. An error means that the receiver has closed its connection, and needs them no longer. */
static void deliver(const event *event) {
    end *to = event->to;
    for (ssize_t sent = 0, now; sent < event->length; sent += now) {
        now = send(to->fd, event->bytes + sent, (size_t)(event->length - sent), MSG_NOSIGNAL);
        if (now < 0) return;
    }
    if (event->length > 0) return;
    struct linger at_once = {1, 0};
    if (to->bridge->broken) setsockopt(to->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(to->fd, to->bridge->broken ? SHUT_RDWR : SHUT_WR);
}

/* Carries out what is due in a queue. */
static void run(queue *from) {
    while (from->first && from->first->due_ns <= now_ns()) {
        event *due = from->first;
        from->first = due->next;
        if (from == &opening) start(due->to->bridge);
        else deliver(due);
        release(due->to->bridge);
        free(due);
    }
}

static void set_timer(void) {
    int64_t due = INT64_MAX;
    if (opening.first) due = opening.first->due_ns;
    if (moving.first && moving.first->due_ns < due) due = moving.first->due_ns;
    struct itimerspec at = {{0, 0}, {0, 0}};
    if (due < INT64_MAX) at.it_value = (struct timespec){due / 1000000000, due % 1000000000};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static int listen_anywhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&address, &size))
        die("cannot listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void answer(void) {
    char line[64];
    ssize_t length = read(0, line, sizeof line);
    if (length <= 0) exit(0);
    for (ssize_t at = 0; at < length; at++)
        if (line[at] == '\n') printf("%lu %lu\n", connections, round_trips);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    target = (uint16_t)atoi(argv[1]);
    opening.delay_ns = atoi(argv[2]) * INT64_C(1000000);
    moving.delay_ns = opening.delay_ns / 2;
    prctl(PR_SET_TIMERSLACK, 1);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (epoll < 0 || timer < 0) die("cannot wait for events");
    int listener = listen_anywhere(), input = 0;
    watch(listener, &listener);
    watch(input, &input);
    watch(timer, &timer);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int at = 0; at < count; at++) {
            void *ready = events[at].data.ptr;
            if (ready == &listener) accept_client(listener);
            else if (ready == &input) answer();
            else if (ready != &timer) receive(ready);
        }
        run(&opening);
        run(&moving);
        set_timer();
    }
}
