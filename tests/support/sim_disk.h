/**
 * A disk in memory behind a wm_io, which remembers what has been synced and what has not, and then makes one of the
 * states that a power cut could leave, by seed:
 *
 *   - of what was written and not synced, each write is kept, dropped, kept in part (torn at 512-byte sectors), or has
 *     sectors of garbage. Bytes outside of the written range stay as they were (SQLite's "powersafe overwrite");
 *   - a size that was not synced is the old one, the new one or one in between;
 *   - each change of a name (create, rename, link, unlink, mkdir) since the folder was last synced is kept or dropped;
 *     a rename is atomic. A file sync makes no name durable.
 *
 * A process that dies loses nothing of that: only the power does. A sync that fails may have written or not, and leaves
 * the pages clean, as Linux does: they are read as written, and no later sync will write them.
 *
 * @thread any for the table; the rest while nobody else uses it
 */
#ifndef TESTS_SUPPORT_SIM_DISK_H
#define TESTS_SUPPORT_SIM_DISK_H

#include "waymark/io.h"

struct sim_disk;

struct sim_disk *sim_disk_new(uint64_t seed); /* empty but for "/" */
void sim_disk_free(struct sim_disk *d);
const struct wm_io *sim_disk_io(struct sim_disk *d);
/** Another disk with the same content, synced and unsynced. Nothing may be open. */
struct sim_disk *sim_disk_clone(const struct sim_disk *d, uint64_t seed);

/** From operation n on (1: the next) everything fails: the process is dead. That one may or may not have its effect. */
void sim_disk_die_at(struct sim_disk *d, unsigned n);
/** The first sync from operation n on fails, once. */
void sim_disk_fail_sync_at(struct sim_disk *d, unsigned n);
bool sim_disk_dead(struct sim_disk *d);
bool sim_disk_sync_failed(struct sim_disk *d);

/** What the table says is free; it takes more all the same. While nothing is open. */
void sim_disk_say_free(struct sim_disk *d, uint64_t bytes);

/** The process is gone, its files are closed; the next one begins. */
void sim_disk_restart(struct sim_disk *d);
/** The power is gone, too. */
void sim_disk_power_cut(struct sim_disk *d);

/** Put a file there, durable. */
void sim_disk_put(struct sim_disk *d, const char *path, const void *bytes, size_t len);
/** Write every file below the folder into a real one, for a look at what a failed check saw. */
void sim_disk_save(struct sim_disk *d, const char *from, const char *to);

#endif
