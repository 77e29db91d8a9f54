/*
 * Leased token buckets: two instances take tokens of one bucket in Redis, through leases.
 *
 * Promise: admitted <= C + r * T over every span of T ticks. That is the same as: a bucket of capacity C and refill r
 * never runs out when each admitted request takes one token of it. The model carries that bucket as `reference`.
 *
 * One tick is half the life of a lease. Each macro WITHOUT_... removes one condition of the protocol, and Spin then finds
 * an execution that breaks the promise. The lines that begin with "@" are replayed on the TypeScript code.
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#define REFILL 1
#define LIFE 2
#ifndef LAST_TICK
#define LAST_TICK 4
#endif
#ifndef REQUESTS
#define REQUESTS 2
#endif
#define IDS (2 * REQUESTS)
#define NONE 255
#define ORIGIN 4

#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* Real time, which is also the monotonic clock of both instances; and the clock of Redis. */
byte now = 0;
short redis_now = ORIGIN;

/* The bucket in Redis: what the script lease.lua keeps. */
typedef Bucket {
  short level;
  short stamp;
  bool open[IDS];
  byte tokens[IDS];
  short deadline[IDS]
}
Bucket bucket;
/* What a replica has received. A failover replaces the bucket by it. */
Bucket replica;

/* An instance: one lease, one ended lease that is not settled, one pending request. */
typedef Instance {
  byte lease;
  byte held;
  byte deadline;
  byte spent_at;
  byte ended;
  byte unspent;
  byte ended_spent_at;
  byte pending;
  byte sent_at;
  byte requests
}
Instance instance[2];

/* Requests and replies on their way: lease id, settled id, unspent tokens, ticks since the last spent token. */
chan request[2] = [2] of { byte, byte, byte, byte };
chan reply[2] = [1] of { byte, byte };

byte reference = CAPACITY;
/* What the promise allows in addition: lost writes, steps of the clock. */
byte allowance = 0;

/* Faults that are left. */
byte losses = LOSSES;
byte repeats = REPEATS;
byte crashes = CRASHES;
byte failovers = FAILOVERS;
byte forward_steps = FORWARD_STEPS;
byte backward_steps = BACKWARD_STEPS;

inline copy(from, to) {
  to.level = from.level;
  to.stamp = from.stamp;
  for (k : 0 .. IDS - 1) {
    to.open[k] = from.open[k];
    to.tokens[k] = from.tokens[k];
    to.deadline[k] = from.deadline[k]
  }
}

inline refill(till) {
#ifdef WITHOUT_COUNTED_LEASES
  limit = CAPACITY;
#else
  limit = CAPACITY - outstanding;
#endif
  if
  :: till > bucket.stamp -> bucket.level = bucket.level + (till - bucket.stamp) * REFILL
#ifdef WITHOUT_BACKWARD_RULE
  :: till < bucket.stamp -> bucket.level = bucket.level + (bucket.stamp - till) * REFILL
#endif
  :: else -> skip
  fi;
  bucket.stamp = till;
  if
  :: bucket.level >= limit -> bucket.level = MAX(0, limit)
  :: else -> skip
  fi
}

/* One run of the script. */
inline step(id, settled, unspent, ago, all) {
  outstanding = 0;
  for (k : 0 .. IDS - 1) {
    if
    :: bucket.open[k] ->
      outstanding = outstanding + bucket.tokens[k];
      bucket.deadline[k] = MIN(bucket.deadline[k], redis_now + LIFE)
    :: else -> skip
    fi
  }
#ifndef WITHOUT_RELEASES_IN_ORDER
  /* The end of a lease allows more refill from that time on. */
  at = 0;
  do
  :: at > redis_now -> break
  :: else ->
    for (k : 0 .. IDS - 1) {
      if
      :: bucket.open[k] && bucket.deadline[k] == at && bucket.tokens[k] > 0 ->
        if
        :: at > bucket.stamp -> refill(at)
        :: else -> skip
        fi;
        outstanding = outstanding - bucket.tokens[k];
#ifdef WITHOUT_EXPIRED_IS_SPENT
        bucket.level = bucket.level + bucket.tokens[k];
#endif
        bucket.tokens[k] = 0
      :: else -> skip
      fi;
      if
      :: bucket.open[k] && k == settled && redis_now - ago == at && bucket.tokens[k] > unspent ->
        if
        :: at > bucket.stamp -> refill(at)
        :: else -> skip
        fi;
        outstanding = outstanding - (bucket.tokens[k] - unspent);
        bucket.tokens[k] = unspent
      :: else -> skip
      fi
    }
    at++
  od;
#else
  for (k : 0 .. IDS - 1) {
    if
    :: bucket.open[k] && bucket.deadline[k] <= redis_now ->
      outstanding = outstanding - bucket.tokens[k];
      bucket.tokens[k] = 0
    :: else -> skip
    fi
  }
  if
  :: settled != NONE && bucket.open[settled] && bucket.tokens[settled] > unspent ->
    outstanding = outstanding - (bucket.tokens[settled] - unspent);
    bucket.tokens[settled] = unspent
  :: else -> skip
  fi;
#endif
  refill(redis_now);
  for (k : 0 .. IDS - 1) {
    if
    :: bucket.open[k] && bucket.deadline[k] <= redis_now ->
      bucket.open[k] = false;
      bucket.tokens[k] = 0;
      bucket.deadline[k] = 0
    :: else -> skip
    fi
  }
  if
  :: settled == NONE -> skip
#ifdef WITHOUT_LEASE_IDS
  /* A settlement returns its tokens, even if the store does not know the lease. */
  :: settled != NONE ->
    bucket.level = bucket.level + unspent;
    bucket.open[settled] = false;
    bucket.tokens[settled] = 0;
    bucket.deadline[settled] = 0
#else
  :: settled != NONE && bucket.open[settled] ->
    bucket.level = bucket.level + bucket.tokens[settled];
    bucket.open[settled] = false;
    bucket.tokens[settled] = 0;
    bucket.deadline[settled] = 0
  :: settled != NONE && !bucket.open[settled] -> skip
#endif
  fi;
  granted = 0;
  if
  :: id == NONE -> skip
  :: id != NONE && bucket.open[id] -> granted = bucket.tokens[id]
  :: id != NONE && !bucket.open[id] && bucket.level >= 1 ->
    granted = (all -> bucket.level : 1);
    bucket.level = bucket.level - granted;
    bucket.open[id] = true;
    bucket.tokens[id] = granted;
    bucket.deadline[id] = redis_now + LIFE
  :: id != NONE && !bucket.open[id] && bucket.level < 1 -> skip
  fi
}

inline end_lease(i) {
  instance[i].ended = instance[i].lease;
  instance[i].unspent = instance[i].held;
  instance[i].ended_spent_at = instance[i].spent_at;
  instance[i].lease = NONE;
  instance[i].held = 0;
  instance[i].deadline = 0;
  instance[i].spent_at = 0
}

inline forget_ended(i) {
  instance[i].ended = NONE;
  instance[i].unspent = 0;
  instance[i].ended_spent_at = 0
}

inline restart(i) {
  instance[i].lease = NONE;
  instance[i].held = 0;
  instance[i].deadline = 0;
  instance[i].spent_at = 0;
  instance[i].pending = NONE;
  instance[i].sent_at = 0;
  forget_ended(i)
}

#define RUNNING(i) (instance[i].lease != NONE)

proctype Run(byte i) {
  byte id, granted;
end:
  do
  /* Sends a request, with the settlement of the ended lease. */
  :: d_step {
      instance[i].requests < REQUESTS && instance[i].pending == NONE && !RUNNING(i) && nfull(request[i]) ->
      id = i * REQUESTS + instance[i].requests;
      instance[i].requests++;
      instance[i].pending = id;
      instance[i].sent_at = now;
      request[i] ! id, instance[i].ended, instance[i].unspent, (instance[i].ended == NONE -> 0 : now - instance[i].ended_spent_at);
      id = 0;
      printf("@ send %d\n", i)
    }
  /* Settles the ended lease alone. */
  :: d_step {
      instance[i].ended != NONE && instance[i].pending == NONE && nfull(request[i]) ->
      request[i] ! NONE, instance[i].ended, instance[i].unspent, now - instance[i].ended_spent_at;
      forget_ended(i);
      printf("@ return %d\n", i)
    }
  :: d_step {
      nempty(reply[i]) ->
      reply[i] ? id, granted;
      if
      :: id == instance[i].pending ->
        forget_ended(i);
        if
        :: granted > 0 ->
          instance[i].lease = id;
          instance[i].held = granted;
#ifdef WITHOUT_DEADLINE_FROM_SENDING
          instance[i].deadline = now + LIFE;
#else
          instance[i].deadline = instance[i].sent_at + LIFE;
#endif
          instance[i].spent_at = now
        :: else -> skip
        fi;
        instance[i].pending = NONE;
        instance[i].sent_at = 0;
        printf("@ receive %d\n", i)
      :: else -> printf("@ ignore %d\n", i)
      fi;
      id = 0;
      granted = 0
    }
  /* The request failed: it may be executed later, or it was executed. The settlement is sent again with the next one. */
  :: d_step {
      losses > 0 && instance[i].pending != NONE ->
      losses--;
      instance[i].pending = NONE;
      instance[i].sent_at = 0;
      printf("@ fail %d\n", i)
    }
  :: d_step {
#ifdef WITHOUT_DEADLINE_CHECK
      RUNNING(i) && instance[i].held > 0 ->
#else
      RUNNING(i) && instance[i].held > 0 && now < instance[i].deadline ->
#endif
      instance[i].held--;
      instance[i].spent_at = now;
      printf("@ spend %d\n", i);
      if
      :: reference > 0 -> reference--
      :: reference == 0 && allowance > 0 -> allowance--
      :: else -> assert(false)
      fi
    }
  :: d_step {
      RUNNING(i) && instance[i].ended == NONE && instance[i].pending == NONE ->
      end_lease(i);
      printf("@ end %d\n", i)
    }
  :: d_step {
      crashes > 0 ->
      crashes--;
      restart(i);
      printf("@ crash %d\n", i)
    }
  od
}

/* Takes the next request of an instance and runs the script. `all` decides whether the whole level is granted. */
#define EXECUTE(i, all) \
  nempty(request[i]) && nfull(reply[i]) -> \
  request[i] ? id, settled, unspent, ago; \
  step(id, settled, unspent, ago, all); \
  printf("@ execute %d\n", i); \
  if \
  :: id != NONE -> reply[i] ! id, granted \
  :: else -> skip \
  fi; \
  id = 0; settled = 0; unspent = 0; ago = 0; k = 0; granted = 0; outstanding = 0; limit = 0; at = 0

proctype Redis() {
  byte id, settled, unspent, ago, k, granted;
  short outstanding, limit, at;
end:
  do
  :: d_step { EXECUTE(0, false) }
  :: d_step { bucket.level != 1 && EXECUTE(0, true) }
  :: d_step { EXECUTE(1, false) }
  :: d_step { bucket.level != 1 && EXECUTE(1, true) }
  /* The network delivers a request twice. */
  :: d_step {
      repeats > 0 && len(request[0]) == 1 ->
      repeats--;
      request[0] ? <id, settled, unspent, ago>;
      request[0] ! id, settled, unspent, ago;
      id = 0; settled = 0; unspent = 0; ago = 0;
      printf("@ repeat 0\n")
    }
  :: d_step { failovers > 0 -> copy(bucket, replica); k = 0; printf("@ replicate\n") }
  :: d_step {
      failovers > 0 ->
      failovers--;
      copy(replica, bucket);
      k = 0;
      /* At most one capacity, whatever was lost. */
      allowance = allowance + CAPACITY;
      printf("@ failover\n")
    }
  :: d_step {
      now < LAST_TICK ->
      now++;
      redis_now++;
      reference = MIN(CAPACITY, reference + REFILL);
      printf("@ tick\n")
    }
  :: d_step {
      forward_steps > 0 ->
      forward_steps--;
      redis_now++;
      allowance = allowance + MIN(CAPACITY, REFILL);
      printf("@ forward\n")
    }
  :: d_step { backward_steps > 0 -> backward_steps--; redis_now = redis_now - 2; printf("@ backward\n") }
  od
}

init {
  d_step {
    bucket.level = CAPACITY;
    bucket.stamp = ORIGIN;
    replica.level = CAPACITY;
    replica.stamp = ORIGIN;
    restart(0);
    restart(1)
  }
  atomic { run Redis(); run Run(0); run Run(1) }
}
