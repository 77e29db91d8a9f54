import { tlsListener } from "./listener.ts";
import { startRedisStore } from "./stores.ts";
import { soakSuite } from "./suite.ts";

soakSuite({ startStore: startRedisStore, listen: tlsListener, seconds: 40 });
