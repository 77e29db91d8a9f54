/*
 * The revocation feed: two instances, one key, and a Redis that can lose writes.
 *
 * Promise: a restriction of the key that a living instance has received is never lost. Once the faults end, both instances
 * and Redis agree on the newest change that a living instance knows, and no instance ever forgets a revocation.
 *
 * Each macro WITHOUT_... removes one rule, and Spin then finds an execution that breaks the promise. The lines that begin
 * with "@" are replayed on the TypeScript code.
 */
#ifndef CHANGES
#define CHANGES 3
#endif
/* Each change or write-back publishes at most one entry. */
#define ENTRIES 8
/* Redis's clock advances by more than one between two changes. */
#define CLOCK_STEP 4

#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* A restriction: the version orders `disabled`; a revocation is permanent. `order` numbers the changes (for the check). */
typedef Restriction {
  byte version;
  bool revoked;
  bool disabled;
  byte order
}

typedef Store {
  /* The record of the key exists: a lost record cannot be disabled or enabled. */
  bool exists;
  byte epoch;
  byte head;
  byte trimmed;
  Restriction kept;
  Restriction entry[ENTRIES]
}
Store redis;
/* What a replica has received. A failover replaces the store by it. */
Store replica;
/* Differs for another server. */
byte replication_id = 1;
byte next_epoch = 2;

mtype = { starting, head_noted, loaded, reading };
typedef Instance {
  mtype phase;
  bool ready;
  bool must_write_back;
  byte epoch;
  byte replication_id;
  byte position;
  Restriction view;
  /* Since its start: the newest change that it has received, and whether it has received a revocation. */
  byte known;
  bool knows_revoked
}
Instance instance[2];

byte clock = CLOCK_STEP;
byte changes = 0;
byte flushes = FLUSHES;
byte failovers = FAILOVERS;
byte crashes = CRASHES;
byte trims = TRIMS;
/* From now on there is no change and no fault. */
bool calm = false;

#define SAME(a, b) (a.version == b.version && a.revoked == b.revoked && a.disabled == b.disabled)

/* Merges a restriction into another one. */
inline merge(into, from) {
#ifdef WITHOUT_VERSIONS
  into.disabled = from.disabled;
  into.order = from.order;
#else
  if
  :: from.version > into.version -> into.disabled = from.disabled; into.order = from.order
  :: from.version == into.version ->
    into.disabled = into.disabled || from.disabled;
    into.order = MAX(into.order, from.order)
  :: else -> skip
  fi;
#endif
  into.version = MAX(into.version, from.version);
  into.revoked = into.revoked || from.revoked
}

inline set(into, from) {
  into.version = from.version;
  into.revoked = from.revoked;
  into.disabled = from.disabled;
  into.order = from.order
}

inline clear(it) {
  it.version = 0;
  it.revoked = false;
  it.disabled = false;
  it.order = 0
}

inline copy_store(from, to) {
  to.exists = from.exists;
  to.epoch = from.epoch;
  to.head = from.head;
  to.trimmed = from.trimmed;
  set(to.kept, from.kept);
  for (k : 0 .. ENTRIES - 1) { set(to.entry[k], from.entry[k]) }
}

/* Appends what is kept now to the feed. The epoch starts with the first write. */
inline publish() {
  if
  :: redis.epoch == 0 -> redis.epoch = next_epoch; next_epoch++
  :: else -> skip
  fi;
  set(redis.entry[redis.head], redis.kept);
  redis.head++
}

/* No revocation is forgotten, and no older change overrides a newer one, not even for a moment. */
inline receive(i, from) {
  merge(instance[i].view, from);
  assert(instance[i].view.revoked || !instance[i].knows_revoked);
  assert(instance[i].view.order >= instance[i].known || instance[i].view.revoked);
  instance[i].knows_revoked = instance[i].view.revoked;
  instance[i].known = MAX(instance[i].known, from.order)
}

/* A committed and acknowledged change by an instance. */
inline change(i, revokes, disables) {
  changes++;
  clock = clock + CLOCK_STEP;
#ifdef WITHOUT_CLOCK_VERSIONS
  redis.kept.version = MAX(redis.kept.version, instance[i].view.version) + 1;
#else
  redis.kept.version = MAX(MAX(redis.kept.version, instance[i].view.version) + 1, clock);
#endif
  redis.kept.revoked = redis.kept.revoked || revokes;
  redis.kept.disabled = disables;
  redis.kept.order = changes;
  publish();
  receive(i, redis.kept)
}

#define MAY_CHANGE(i) (!calm && changes < CHANGES && instance[i].ready && redis.head < ENTRIES - 3)
#ifdef WITHOUT_EPOCH
#define SAME_HISTORY(i) true
#else
#define SAME_HISTORY(i) (instance[i].epoch == redis.epoch || instance[i].epoch == 0) && instance[i].replication_id == replication_id
#endif

/* Redis lacks a part of what the instance knows. */
#define LACKS(i) (instance[i].view.version > redis.kept.version || (instance[i].view.revoked && !redis.kept.revoked) || (instance[i].view.version == redis.kept.version && instance[i].view.disabled && !redis.kept.disabled))

inline note_head(i) {
  instance[i].epoch = redis.epoch;
  instance[i].replication_id = replication_id;
  instance[i].position = redis.head
}

inline load(i) {
#ifdef WITHOUT_MERGE
  clear(instance[i].view);
#endif
  receive(i, redis.kept)
}

proctype Run(byte i) {
  byte k;
end:
  do
  :: d_step { MAY_CHANGE(i) -> change(i, true, redis.kept.disabled); printf("@ revoke %d\n", i) }
  :: d_step { MAY_CHANGE(i) && redis.exists && !redis.kept.disabled -> change(i, false, true); printf("@ disable %d\n", i) }
  :: d_step { MAY_CHANGE(i) && redis.exists && redis.kept.disabled -> change(i, false, false); printf("@ enable %d\n", i) }
  /* The start, and what follows a gap: the head is noted before the snapshot is loaded. */
#ifdef WITHOUT_HEAD_FIRST
  :: d_step { instance[i].phase == starting -> load(i); instance[i].phase = head_noted; printf("@ load %d\n", i) }
  :: d_step { instance[i].phase == head_noted -> note_head(i); instance[i].phase = reading; instance[i].ready = true; printf("@ head %d\n", i) }
#else
  :: d_step { instance[i].phase == starting -> note_head(i); instance[i].phase = head_noted; printf("@ head %d\n", i) }
  :: d_step { instance[i].phase == head_noted -> load(i); instance[i].phase = reading; instance[i].ready = true; printf("@ load %d\n", i) }
#endif
  /* A read of the feed. */
  :: d_step {
      instance[i].phase == reading && SAME_HISTORY(i) && instance[i].position < redis.head && instance[i].position >= redis.trimmed ->
      instance[i].epoch = redis.epoch;
      receive(i, redis.entry[instance[i].position]);
      instance[i].position++;
     
      printf("@ read %d\n", i)
    }
  :: d_step {
      instance[i].phase == reading && SAME_HISTORY(i) && instance[i].position < redis.trimmed ->
#ifdef WITHOUT_SEQUENCE
      instance[i].position = redis.trimmed;
#else
      instance[i].phase = starting;
      instance[i].must_write_back = true;
#endif
      printf("@ gap %d\n", i)
    }
  :: d_step {
      instance[i].phase == reading && !(SAME_HISTORY(i)) ->
      instance[i].phase = starting;
      instance[i].must_write_back = true;
      printf("@ notice %d\n", i)
    }
  :: d_step {
      instance[i].phase == reading && SAME_HISTORY(i) && redis.head < instance[i].position ->
      instance[i].phase = starting;
      instance[i].must_write_back = true;
      printf("@ notice %d\n", i)
    }
#ifndef WITHOUT_WRITE_BACK
  :: d_step {
      instance[i].phase == reading && instance[i].must_write_back && SAME_HISTORY(i) ->
      instance[i].must_write_back = false;
      if
      :: LACKS(i) ->
        merge(redis.kept, instance[i].view);
        /* The record is corrected under a new version. */
        redis.kept.version = redis.kept.version + (redis.exists -> 1 : 0);
        publish()
      :: else -> skip
      fi;
      printf("@ write back %d\n", i)
    }
#endif
  :: d_step {
      !calm && crashes > 0 ->
      crashes--;
      instance[i].phase = starting;
      instance[i].ready = false;
      instance[i].must_write_back = false;
      instance[i].epoch = 0;
      instance[i].replication_id = 0;
      instance[i].position = 0;
      instance[i].known = 0;
      instance[i].knows_revoked = false;
      clear(instance[i].view);
      printf("@ crash %d\n", i)
    }
  od
}

proctype Redis() {
  byte k;
end:
  do
  :: d_step { !calm && trims > 0 && redis.trimmed < redis.head -> trims--; redis.trimmed = redis.head; printf("@ trim\n") }
  :: d_step {
      !calm && flushes > 0 ->
      flushes--;
      redis.exists = false;
      redis.epoch = 0;
      redis.head = 0;
      redis.trimmed = 0;
      clear(redis.kept);
      for (k : 0 .. ENTRIES - 1) { clear(redis.entry[k]) }
      k = 0;
      printf("@ flush\n")
    }
  :: d_step { !calm && failovers > 0 -> copy_store(redis, replica); k = 0; printf("@ replicate\n") }
  :: d_step {
      !calm && failovers > 0 ->
      failovers--;
      copy_store(replica, redis);
      replication_id++;
      k = 0;
      printf("@ failover\n")
    }
  :: d_step { !calm -> calm = true; printf("@ calm\n") }
  :: timeout ->
    assert(calm && instance[0].phase == reading && instance[1].phase == reading);
    assert(instance[0].view.revoked == instance[1].view.revoked && instance[0].view.revoked == redis.kept.revoked);
    assert(instance[0].view.disabled == instance[1].view.disabled && instance[0].view.disabled == redis.kept.disabled);
    assert(redis.kept.revoked || redis.kept.order >= MAX(instance[0].known, instance[1].known));
    break
  od
}

init {
  d_step {
    redis.exists = true;
    redis.epoch = 1;
    replica.exists = true;
    replica.epoch = 1;
    instance[0].phase = starting;
    instance[1].phase = starting
  }
  atomic { run Redis(); run Run(0); run Run(1) }
}
