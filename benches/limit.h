/* The minimal cache that the row `limit` measures, as a bound on the speed of keyferry's cache. A look-up hashes the name, reads the
 * record without a lock, checks the coarse clock and copies 600 bytes. Records are never removed. There is no support for URLs, token
 * objects, refresh windows or fork. */
#ifndef LIMIT_H
#define LIMIT_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    atomic_uint_fast64_t version;
    uint64_t hash;
    int64_t expires_s;
    size_t name_length, line_length;
    char text[]; /* name NUL line NUL */
} limit_record;

typedef struct {
    size_t mask;
    limit_record **slots;
} limit_table;

/* Hashes 8 bytes at a time, and stores the length of `name`. */
static inline uint64_t limit_hash(const char *name, size_t *length) {
    size_t left = *length = strlen(name);
    uint64_t hash = left, word = 0;
    for (; left >= 8; left -= 8, name += 8) {
        memcpy(&word, name, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    for (word = 0; left > 0; left--) word = word << 8 | (unsigned char)name[left - 1];
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static limit_table limit_new(size_t most) {
    limit_table table = {1, NULL};
    while (table.mask < most * 4 / 3 + 1) table.mask <<= 1;
    table.slots = calloc(table.mask, sizeof *table.slots);
    table.mask--;
    return table;
}

static void limit_put(limit_table *table, const char *name, const char *line, int64_t expires_s) {
    size_t name_length, line_length = strlen(line);
    uint64_t hash = limit_hash(name, &name_length);
    limit_record *record = malloc(sizeof *record + name_length + line_length + 2);
    atomic_init(&record->version, 0);
    record->hash = hash;
    record->expires_s = expires_s;
    record->name_length = name_length;
    record->line_length = line_length;
    memcpy(record->text, name, name_length + 1);
    memcpy(record->text + name_length + 1, line, line_length + 1);
    size_t at = hash & table->mask;
    while (table->slots[at]) at = (at + 1) & table->mask;
    table->slots[at] = record;
}

/* Copies the line to `buffer`. Returns the line's length, or 0 if there is none. */
static inline size_t limit_get(const limit_table *table, const char *name, char *buffer, size_t capacity) {
    size_t name_length;
    uint64_t hash = limit_hash(name, &name_length);
    for (size_t at = hash & table->mask;; at = (at + 1) & table->mask) {
        limit_record *record = table->slots[at];
        if (!record) return 0;
        if (record->hash != hash || record->name_length != name_length || memcmp(record->text, name, name_length)) continue;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        uint64_t before = atomic_load_explicit(&record->version, memory_order_acquire);
        if (now.tv_sec >= record->expires_s || record->line_length >= capacity) return 0;
        memcpy(buffer, record->text + name_length + 1, record->line_length + 1);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&record->version, memory_order_relaxed) == before) return record->line_length;
    }
}

#endif
